// What a block consists of: the operations that it runs, as problems of the library.
#pragma once

#include "generator/block_problems.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/problem.hpp"
#include "moe_tune/router.hpp"

namespace moe_tune {

/// Everything of a block that does not change between calls.
struct BlockShape {
  ModelShape model;  ///< shared_expert_I is 0 where this process does not run the shared expert
  DType dtype = DType::bf16;
  ExpertRange experts;  ///< those of this process; the count is at least 1
  bool permute_x = true;
  bool permute_y = true;
  bool overlap_router_shared = false;
  bool float32_dw = false;

  bool has_shared_expert() const { return model.shared_expert_I > 0; }
  /// Rows are scaled before the experts, not after them.
  bool scales_input() const { return model.router == RouterKind::sigmoid; }
};

/// The problem of a GEMM, which the block has, among its own experts.
Problem problem_of(const BlockShape& shape, BlockGemm gemm, BlockPass pass = BlockPass::inference);

RouterProblem router_problem(const BlockShape& shape);

}  // namespace moe_tune
