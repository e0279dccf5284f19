// GroupedGemm: the public API's way to a launch, with the library's workspace and with the caller's.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "moe_tune/grouped_gemm.hpp"
#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/gemm_case.hpp"
#include "tests/gpu/support/graph.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr Problem fused = {.E = 24,
                           .N = 496,
                           .K = 456,
                           .top_k = 3,
                           .permute_x = true,
                           .fuse_mul_pre = true,
                           .fuse_swiglu = true,
                           .keep_pre_activation = true};
constexpr int tokens = 300;

GroupedGemmArgs api_args(const GemmCase& forward) {
  const abi::GroupedGemmArgs& from = forward.args();
  GroupedGemmArgs args;
  args.x = from.x;
  args.w = from.w;
  args.y = from.y;
  args.pre_activation = from.pre_activation;
  args.m_sizes = from.m_sizes;
  args.gather_indices = from.gather_indices;
  args.topk_weights = from.topk_weights;
  args.topk_weights_type = WeightType::float32;
  args.tokens = forward.spec().tokens;
  args.y_row_stride = from.y_row_bytes / 2;
  args.pre_activation_row_stride = from.pre_activation_row_bytes / 2;
  return args;
}

CaseSpec fused_case(std::uint64_t seed) {
  CaseSpec spec = routed_case(fused, tokens, {RoutingSpec::Kind::zipf, 1.0, seed});
  spec.y_padding = 8;
  spec.pre_activation_padding = 24;
  return spec;
}

// Every way to get the rows of x; the last needs no workspace, and has clusters.
constexpr const char* dispatch = "sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch";
constexpr const char* copy_ahead = "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead";
constexpr const char* in_kernel = "sm90_64x256x64_weights_pingpong_w12_s4_c1_x2_queue_mfast_inkernel";

struct Operation {
  explicit Operation(const std::string& config) : gemm(library, fused, 0, parse_config(config)) {}

  Library library{LibraryOptions{}};
  GroupedGemm gemm;
};

}  // namespace

TEST_CASE("operation: workspace of the library's and of the caller's gives the same") {
  if (!has_sm90()) return;
  const std::string config = GENERATE(as<std::string>(), dispatch, copy_ahead);
  INFO(config);
  Operation operation(config);
  const std::size_t needed = operation.gemm.workspace_bytes(tokens);
  // Rows in expert order; of those that are copied ahead also a counter, and a flag for each 32.
  CHECK(needed == std::size_t{tokens} * 3 * 456 * 2 + (config == copy_ahead ? (1 + 29) * sizeof(unsigned) : 0));
  CHECK(operation.gemm.workspace_bytes(0) == 0);
  GemmCase forward(fused_case(1));
  GroupedGemmArgs args = api_args(forward);
  const Stream stream;
  const auto run = [&] {
    forward.reset(stream.get());
    operation.gemm.run(args, stream.get());
    stream.synchronize();
    check_result(forward);
  };
  run();
  const DeviceBuffer workspace(needed);
  args.workspace = workspace.get();
  args.workspace_bytes = needed - 1;
  CHECK_THROWS_WITH(operation.gemm.run(args, stream.get()), Catch::Contains(std::to_string(needed)));
  args.workspace_bytes = needed;
  run();
  args.workspace = static_cast<char*>(workspace.get()) + 8;
  CHECK_THROWS_WITH(operation.gemm.run(args, stream.get()), Catch::Contains("workspace is not 16-byte aligned"));
}

TEST_CASE("operation: after prepare() calls allocate nothing, one after the other") {
  if (!has_sm90()) return;
  const std::string config = GENERATE(as<std::string>(), dispatch, copy_ahead, in_kernel);
  INFO(config);
  Operation operation(config);
  GemmCase forward(fused_case(2));
  const std::int64_t counts[] = {tokens};
  operation.gemm.prepare(counts);
  const auto free_bytes = [] {
    std::size_t free = 0, total = 0;
    driver().cuMemGetInfo(&free, &total);
    return free;
  };
  const Stream stream;
  // The driver may load a kernel no earlier than its first launch. In memory of the caller's: what the library's own takes must
  // be there without.
  GroupedGemmArgs first = api_args(forward);
  const DeviceBuffer workspace(operation.gemm.workspace_bytes(tokens));
  first.workspace = workspace.get();
  first.workspace_bytes = workspace.bytes();
  operation.gemm.run(first, stream.get());
  stream.synchronize();
  const std::size_t before = free_bytes();
  for (int i = 0; i < 100; ++i) operation.gemm.run(api_args(forward), stream.get());
  stream.synchronize();
  CHECK(free_bytes() == before);
  check_result(forward);
}

TEST_CASE("operation: captured calls are replayed beside eager ones, from several threads") {
  if (!has_sm90()) return;
  const std::string config = GENERATE(as<std::string>(), dispatch, copy_ahead, in_kernel);
  INFO(config);
  Operation operation(config);
  const std::int64_t counts[] = {tokens};
  operation.gemm.prepare(counts);
  std::vector<std::unique_ptr<GemmCase>> cases;
  for (const std::uint64_t seed : {1, 2, 3, 4}) cases.push_back(std::make_unique<GemmCase>(fused_case(seed)));
  const Stream captured;
  const CapturedGraph graph(captured.get(), [&] {
    operation.gemm.run(api_args(*cases[2]), captured.get());
    operation.gemm.run(api_args(*cases[3]), captured.get());
  });
  for (const auto& forward : cases) forward->reset();
  driver().cuStreamSynchronize(nullptr);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        const CurrentContext current(Gpu::get().context());
        const Stream stream;
        for (int round = 0; round < 50; ++round) operation.gemm.run(api_args(*cases[static_cast<std::size_t>(i)]), stream.get());
        stream.synchronize();
      });
    }
    for (int round = 0; round < 50; ++round) graph.launch(captured.get());
    captured.synchronize();
  }
  for (const auto& forward : cases) check_result(*forward);
}
