#include "generator/block_problems.hpp"

#include <algorithm>

#include "generator/models.hpp"

namespace moe_tune {

namespace {

/// The shared expert as a model of one expert.
ModelShape shared_shape(ModelShape model) {
  model.E = model.top_k = 1;
  model.I = model.shared_expert_I;
  return model;
}

Op op_of(BlockPass pass) {
  if (pass == BlockPass::inference || pass == BlockPass::training) return Op::forward;
  return pass == BlockPass::dX ? Op::dX : Op::dW;
}

}  // namespace

Problem block_problem(const ModelShape& model, DType dtype, const BlockProblemOptions& options, BlockGemm gemm, BlockPass pass) {
  Problem problem = gemm_problem(is_shared(gemm) ? shared_shape(model) : model, place_of(gemm), dtype, op_of(pass));
  problem.permute_x = problem.permute_y = false;
  if (problem.op == Op::forward) {
    problem.permute_x = gemm == BlockGemm::gate_up && options.permute_x;
    problem.permute_y = gemm == BlockGemm::down && options.permute_y;
    problem.fuse_mul_pre = problem.permute_x && model.router == RouterKind::sigmoid;
    problem.fuse_swiglu = problem.gemm == Gemm::gate_up;
    problem.keep_pre_activation = problem.fuse_swiglu && pass == BlockPass::training;
  }
  if (problem.op == Op::dW) {
    problem.float32_dw = options.float32_dw;
    problem.accumulate = pass == BlockPass::dW_added;
  }
  return problem;
}

std::vector<Problem> block_problems(const ModelShape& model, DType dtype, const BlockProblemOptions& options,
                                    std::span<const BlockPass> passes) {
  std::vector<Problem> problems;
  for (const BlockPass pass : passes) {
    for (const BlockGemm gemm : {BlockGemm::gate_up, BlockGemm::down, BlockGemm::shared_gate_up, BlockGemm::shared_down}) {
      if (is_shared(gemm) && model.shared_expert_I == 0) continue;
      const Problem problem = block_problem(model, dtype, options, gemm, pass);
      if (std::find(problems.begin(), problems.end(), problem) == problems.end()) problems.push_back(problem);
    }
  }
  return problems;
}

std::vector<Problem> block_problems(const ModelShape& model, DType dtype, const BlockProblemOptions& options) {
  constexpr BlockPass forward[] = {BlockPass::inference};
  return block_problems(model, dtype, options, forward);
}

}  // namespace moe_tune
