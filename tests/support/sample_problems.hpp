// Problems that the generator must serve: both GEMMs of some models, one whose sizes no tile divides, and the smallest there is.
#pragma once

#include <initializer_list>
#include <vector>

#include "generator/models.hpp"

namespace moe_tune::test {

inline ModelShape odd_model() { return {"odd", 60, 4, 1408, 1000, RouterKind::softmax, 0}; }

inline Problem smallest_problem() {
  Problem problem;
  problem.E = 1;
  problem.N = 8;
  problem.K = 8;
  return problem;
}

inline Problem qwen3_gate_up() { return gemm_problem(find_model("qwen3-30b-a3b"), Gemm::gate_up, DType::bf16); }

inline Problem qwen3_down() { return gemm_problem(find_model("qwen3-30b-a3b"), Gemm::down, DType::bf16); }

inline std::vector<Problem> sample_problems() {
  std::vector<Problem> problems{smallest_problem()};
  for (const ModelShape& model :
       {find_model("qwen3-30b-a3b"), find_model("qwen3-235b-a22b"), find_model("llama4-scout"), odd_model()}) {
    for (const Problem& problem : gemm_problems(model, DType::bf16)) problems.push_back(problem);
  }
  return problems;
}

}  // namespace moe_tune::test
