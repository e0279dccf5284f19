// The grouped GEMMs that a fused MoE block consists of, forward and backward.
#pragma once

#include <span>
#include <vector>

#include "moe_tune/model_shape.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// A weight of a block that rows are multiplied with. The shared expert's are one expert that every token goes to.
enum class BlockGemm { gate_up, down, shared_gate_up, shared_down };

constexpr bool is_shared(BlockGemm gemm) { return gemm == BlockGemm::shared_gate_up || gemm == BlockGemm::shared_down; }
/// Which of the two it is, of the routed experts or of the shared one.
constexpr Gemm place_of(BlockGemm gemm) {
  return gemm == BlockGemm::gate_up || gemm == BlockGemm::shared_gate_up ? Gemm::gate_up : Gemm::down;
}

/// What is made of it.
enum class BlockPass {
  inference,  ///< forward; gate_up ends with SwiGLU
  training,   ///< the same, and what SwiGLU is made of is kept
  dX,
  dW,
  dW_added,  ///< dW, added to what stands there
};

/// How a block works, as far as its GEMMs see it.
struct BlockProblemOptions {
  bool permute_x = true;    ///< forward: gate_up gathers its rows from token order, and scales them where the model does that
  bool permute_y = true;    ///< forward: down scatters its rows to slot order
  bool float32_dw = false;  ///< gradients of weights are float32
};

/// Rows that a GEMM does not find its own way to are moved, and scaled, by kernels between the GEMMs. Those of the gradients always
/// are: rows that were permuted once serve dX and dW.
Problem block_problem(const ModelShape& model, DType dtype, const BlockProblemOptions& options, BlockGemm gemm, BlockPass pass);

/// Those of all GEMMs that the model has, in the order of `passes`; each problem once.
std::vector<Problem> block_problems(const ModelShape& model, DType dtype, const BlockProblemOptions& options,
                                    std::span<const BlockPass> passes);

/// Of a forward that keeps nothing.
std::vector<Problem> block_problems(const ModelShape& model, DType dtype, const BlockProblemOptions& options = {});

}  // namespace moe_tune
