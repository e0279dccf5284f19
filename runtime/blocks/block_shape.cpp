#include "runtime/blocks/block_shape.hpp"

#include <vector>

#include "generator/models.hpp"

namespace moe_tune {

Problem problem_of(const BlockShape& shape, BlockGemm gemm) {
  ModelShape local = shape.model;
  local.E = shape.experts.count;
  const std::vector<Problem> problems = block_problems(local, shape.dtype, {shape.permute_x, shape.permute_y});
  return problems.at(static_cast<std::size_t>(gemm));
}

RouterProblem router_problem(const BlockShape& shape) {
  return {.kind = shape.model.router,
          .dtype = shape.dtype,
          .E = shape.model.E,
          .H = shape.model.H,
          .top_k = shape.model.top_k,
          .first_expert = shape.experts.first,
          .local_experts = shape.experts.count};
}

}  // namespace moe_tune
