#include "runtime/blocks/block_shape.hpp"

namespace moe_tune {

Problem problem_of(const BlockShape& shape, BlockGemm gemm, BlockPass pass) {
  ModelShape local = shape.model;
  local.E = shape.experts.count;
  return block_problem(local, shape.dtype, {shape.permute_x, shape.permute_y, shape.float32_dw}, gemm, pass);
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
