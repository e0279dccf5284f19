#include "runtime/blocks/block_shape.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;

namespace {

BlockShape llama4() {
  BlockShape shape;
  shape.model = {"test", 16, 2, 5120, 8192, RouterKind::sigmoid, 4096};
  shape.experts = {8, 8};
  return shape;
}

}  // namespace

TEST_CASE("A block's GEMMs are those of its own experts") {
  BlockShape shape = llama4();
  const Problem gate_up = problem_of(shape, BlockGemm::gate_up);
  CHECK(gate_up == Problem{.gemm = Gemm::gate_up,
                           .E = 8,
                           .N = 16384,
                           .K = 5120,
                           .top_k = 2,
                           .permute_x = true,
                           .fuse_mul_pre = true,
                           .fuse_swiglu = true});
  CHECK(problem_of(shape, BlockGemm::down) ==
        Problem{.gemm = Gemm::down, .E = 8, .N = 5120, .K = 8192, .top_k = 2, .permute_y = true});
  CHECK(problem_of(shape, BlockGemm::shared_gate_up) ==
        Problem{.gemm = Gemm::gate_up, .E = 1, .N = 8192, .K = 5120, .fuse_swiglu = true});
  CHECK(problem_of(shape, BlockGemm::shared_down) == Problem{.gemm = Gemm::down, .E = 1, .N = 5120, .K = 4096});
  // Rows that are copied to expert order are scaled then.
  shape.permute_x = shape.permute_y = false;
  CHECK(problem_of(shape, BlockGemm::gate_up) ==
        Problem{.gemm = Gemm::gate_up, .E = 8, .N = 16384, .K = 5120, .top_k = 2, .fuse_swiglu = true});
  CHECK(problem_of(shape, BlockGemm::down) == Problem{.gemm = Gemm::down, .E = 8, .N = 5120, .K = 8192, .top_k = 2});
}

TEST_CASE("A block's router knows all experts and gives rows to its own") {
  const RouterProblem router = router_problem(llama4());
  CHECK(router.kind == RouterKind::sigmoid);
  CHECK(router.E == 16);
  CHECK(router.H == 5120);
  CHECK(router.top_k == 2);
  CHECK(router.first_expert == 8);
  CHECK(router.local_experts == 8);
}
