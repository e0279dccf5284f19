// Fused blocks on the golden fixtures, wherever their kernels run, against float64.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "moe_tune/moe_block.hpp"
#include "runtime/reference/half.hpp"
#include "runtime/reference/moe_block.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/worst_row.hpp"

namespace moe_tune::test {

/// One forward of a block on the weights and hidden states of a fixture.
struct BlockCall {
  FusedBlockOptions options;
  bool inject = false;     ///< the fixture's selection
  int token_count = -1;    ///< on the device; -1: none given
  std::uint64_t seed = 0;  ///< of the emulated device's schedule

  std::string describe() const {
    return fmt::format("permute_x {} permute_y {} inject {} experts [{}, +{}) shared {} overlap {} token_count {} seed {}",
                       options.permute_x ? (*options.permute_x ? "on" : "off") : "default", options.permute_y, inject,
                       options.experts.first, options.experts.count, options.shared_expert, options.overlap_router_shared,
                       token_count, seed);
  }
};

/// What it wrote; everything was poison, 0xff in every byte, before.
struct BlockOutputs {
  std::vector<std::uint16_t> out;
  std::vector<std::uint16_t> router_logits;
  std::vector<std::uint16_t> topk_weights;
  std::vector<std::int32_t> selected_experts;
};

inline DType dtype_of(const GoldenCase& golden) { return golden.dtype() == Storage::bf16 ? DType::bf16 : DType::fp16; }

/// The fixtures that GPUs can: bf16 and fp16.
inline std::vector<std::string> golden_block_names() {
  std::vector<std::string> names = GoldenCase::names("_bf16_");
  const std::vector<std::string> more = GoldenCase::names("_f16_");
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

inline std::vector<double> unpacked(const std::vector<std::uint16_t>& bits, DType dtype) {
  std::vector<double> values;
  for (const std::uint16_t value : bits) values.push_back(to_float(value, dtype));
  return values;
}

/// float64 without rounding, of the experts that the call has, on the selection that the block took.
inline MoeBlockInputs judge_inputs(const GoldenCase& golden, const BlockCall& call, const std::vector<std::int32_t>& selected) {
  MoeBlockInputs inputs = golden.inputs();
  inputs.rounding = Storage::float64;
  inputs.selected_experts = selected.data();
  inputs.experts = call.options.experts;
  const int count = call.options.experts.count == 0 ? golden.shape().E - call.options.experts.first : call.options.experts.count;
  const auto matrix = [&](std::int64_t elements) { return call.options.experts.first * elements * 2; };
  inputs.gate_up_proj =
      static_cast<const char*>(inputs.gate_up_proj) + matrix(std::int64_t{2} * golden.shape().I * golden.shape().H);
  inputs.down_proj = static_cast<const char*>(inputs.down_proj) + matrix(std::int64_t{golden.shape().H} * golden.shape().I);
  inputs.experts.count = count;
  if (!call.options.shared_expert) inputs.shared_gate_up_proj = inputs.shared_down_proj = nullptr;
  return inputs;
}

/// What one rounding of each of its steps may move a row by: the activation, the rows of the second GEMM, the output, the routing
/// weights (and Llama4's scaled rows), and the logits, whose error of |logit| units a softmax doubles at most.
inline double block_tolerance(const std::vector<double>& logits, DType dtype) {
  double largest = 0;
  for (const double logit : logits) largest = std::max(largest, std::abs(logit));
  return (5 + 2 * largest) * unit_roundoff(storage_of(dtype));
}

/// What is wrong with the outputs; nothing when they are right.
inline std::string judge_block(const GoldenCase& golden, const std::string& name, const BlockCall& call,
                               const BlockOutputs& outputs) {
  const ModelShape& shape = golden.shape();
  const DType dtype = dtype_of(golden);
  const std::int64_t tokens = call.token_count < 0 ? golden.tokens() : call.token_count;
  const std::vector<std::int32_t> expected(golden.selected_experts(), golden.selected_experts() + golden.tokens() * shape.top_k);
  const auto first_rows = [&](auto values, std::int64_t columns) {
    values.resize(static_cast<std::size_t>(tokens * columns));
    return values;
  };
  const auto rest_is_poison = [&](const auto& values, std::int64_t columns) {
    return std::all_of(values.begin() + tokens * columns, values.end(),
                       [](auto value) { return value == static_cast<decltype(value)>(-1); });
  };
  if (!rest_is_poison(outputs.out, shape.H)) return "out was written past the token count";
  // Ties are the fixture's to break; a fixture without them leaves no choice.
  std::vector<std::int32_t> selected = outputs.selected_experts;
  const std::vector<double> logits = unpacked(outputs.router_logits, dtype);
  const std::vector<double> their_logits = golden.values("router_logits");
  const double logit_error = worst_row(first_rows(logits, shape.E), first_rows(their_logits, shape.E), shape.E);
  if (!(logit_error <= 2 * unit_roundoff(storage_of(dtype))))
    return fmt::format("router_logits: a row is wrong by {}", logit_error);
  if (call.token_count >= 0)
    std::copy(expected.begin() + tokens * shape.top_k, expected.end(), selected.begin() + tokens * shape.top_k);
  if (selected != expected && (call.inject || name.find("ties") == std::string::npos))
    return "selected_experts differ from the fixture's";
  const MoeBlockResult judge = reference_moe_block(judge_inputs(golden, call, selected));
  const double weight_error = worst_row(first_rows(unpacked(outputs.topk_weights, dtype), shape.top_k),
                                        first_rows(judge.topk_weights, shape.top_k), shape.top_k);
  const double tolerance = block_tolerance(their_logits, dtype);
  if (!(weight_error <= tolerance)) return fmt::format("topk_weights: a row is wrong by {}", weight_error);
  const double error =
      worst_row(first_rows(unpacked(outputs.out, dtype), shape.H), first_rows(judge.hidden_states, shape.H), shape.H);
  if (!(error <= tolerance)) return fmt::format("out: a row is wrong by {}, where {} is allowed", error, tolerance);
  return "";
}

/// Calls check(golden, name, call) for every fixture and way to work.
template <class Check>
void for_each_block_call(Check check) {
  std::uint64_t seed = 0;
  for (const std::string& name : golden_block_names()) {
    const GoldenCase golden(name);
    const int half = golden.shape().E / 2;
    for (const bool permute_x : {true, false}) {
      for (const bool permute_y : {true, false}) {
        BlockCall call;
        call.options.permute_x = permute_x;
        call.options.permute_y = permute_y;
        call.seed = ++seed;
        check(golden, name, call);
        call.inject = true;
        check(golden, name, call);
        call.token_count = static_cast<int>(golden.tokens()) - 5;
        check(golden, name, call);
        call.token_count = -1;
        call.options.experts = {half, 0};
        call.options.shared_expert = permute_y;
        check(golden, name, call);
      }
    }
    BlockCall call;
    call.token_count = 0;
    check(golden, name, call);
    if (golden.shape().shared_expert_I == 0) continue;
    call.token_count = -1;
    call.options.overlap_router_shared = true;
    check(golden, name, call);
  }
}

}  // namespace moe_tune::test
