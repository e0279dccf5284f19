#include "runtime/tune/workload.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "runtime/launch/rows_maps.hpp"

using namespace moe_tune;

namespace {

/// llama4-maverick's first GEMM.
Problem maverick_gate_up() {
  Problem p;
  p.E = 128;
  p.N = 16384;
  p.K = 5120;
  p.permute_x = true;
  return p;
}

}  // namespace

TEST_CASE("the bytes of every buffer are counted") {
  Problem p;
  p.gemm = Gemm::down;
  p.E = 4;
  p.N = 64;
  p.K = 32;
  p.top_k = 2;
  const WorkloadBytes bytes = workload_bytes(p, 10, 1000);
  CHECK(bytes.weights == 4 * 64 * 32 * 2);
  CHECK(bytes.x == 20 * 32 * 2);
  CHECK(bytes.y == 20 * 64 * 2);
  CHECK(bytes.reference == 20 * 64 * 4);
  CHECK(bytes.routing == (4 + 20) * 4);
  CHECK(bytes.flush == 2000);
  CHECK(bytes.total() == 16384 + 1280 + 2560 + 5120 + 96 + 2000);

  p.permute_x = true;
  CHECK(workload_bytes(p, 10, 1000).x == 10 * 32 * 2);
  CHECK(workload_bytes(p, 10, 1000).workspace == 20 * 32 * 2 + most_copied_bytes(20));
  p.fuse_mul_pre = p.fuse_swiglu = p.keep_pre_activation = true;
  const WorkloadBytes fused = workload_bytes(p, 10, 1000);
  CHECK(fused.y == 20 * 32 * 2);
  CHECK(fused.reference == 20 * 32 * 4);
  CHECK(fused.pre_activation == 20 * 64 * 2);
  CHECK(fused.pre_activation_reference == 20 * 64 * 4);
  CHECK(fused.routing == (4 + 20) * 4 + 20 * 2);
  CHECK(fused.total() == 16384 + 640 + 1280 + 2560 + 2560 + 5120 + 1288 + 136 + 2000);
  p.fuse_mul_pre = p.fuse_swiglu = p.keep_pre_activation = false;
  p.permute_x = false;
  p.fuse_mul_post = p.permute_y = true;
  CHECK(workload_bytes(p, 10, 1000).routing == (4 + 20) * 4 + 20 * 2);
  CHECK(workload_bytes(p, 10, 1001).flush == 2016);  // whole 16-byte reads
}

TEST_CASE("a float32 dW has twice the bytes") {
  Problem p{.op = Op::dW, .E = 4, .N = 64, .K = 32, .top_k = 2};
  CHECK(workload_bytes(p, 10, 1000).weights == 4 * 64 * 32 * 2);
  p.float32_dw = true;
  CHECK(workload_bytes(p, 10, 1000).weights == 4 * 64 * 32 * 4);
  CHECK(workload_bytes(p, 10, 1000).reference == 4 * 64 * 32 * 4);
}

TEST_CASE("sizes beyond 32 bits are exact") {
  CHECK(workload_bytes(maverick_gate_up(), 8192, 0).weights == std::int64_t{21'474'836'480});
}

TEST_CASE("rows and sizes that do not fit are refused") {
  Problem p = maverick_gate_up();
  p.top_k = 128;
  CHECK(workload_rows(p, 16'777'215) == 2'147'483'520);
  CHECK_THROWS_AS(workload_rows(p, 16'777'216), UsageError);
  p.E = p.N = p.K = 2'147'483'640;
  CHECK_THROWS_AS(workload_bytes(p, 1, 0), UsageError);
}

TEST_CASE("a routing is recorded with its shape") {
  RoutingSpec spec;
  spec.kind = RoutingSpec::Kind::zipf;
  spec.alpha = 1.25;
  const RoutedRows rows = route(spec, 64, 8, 2);
  const Routing routing = routing_record(spec, rows);
  CHECK(routing.kind == RoutingKind::zipf);
  CHECK(routing.alpha == 1.25);
  CHECK(routing.effective_experts == rows.effective_experts());
  CHECK(routing.max_share == rows.max_share());
  CHECK_FALSE(routing_record(RoutingSpec{}, rows).alpha);
}
