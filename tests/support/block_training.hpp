// Backwards of fused blocks on the golden fixtures, wherever their kernels run, against float64.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "runtime/blocks/block_options.hpp"
#include "tests/support/block_case.hpp"
#include "tests/support/golden_gradients.hpp"

namespace moe_tune::test {

/// A forward that keeps what its backward reads, and that backward.
struct TrainingCall {
  BlockCall forward;
  bool d_router_logits = false;  ///< the fixture's, or where it has none its logits
  int steps = 1;                 ///< backwards, the later ones with accumulate

  std::string describe() const {
    const FusedBlockOptions& o = forward.options;
    return fmt::format("{} dW_only {} dX_only {} float32_dW {} d_router_logits {} steps {}", forward.describe(), o.dW_only,
                       o.dX_only, o.float32_dW, d_router_logits, steps);
  }
};

/// What backwards wrote, by name: hidden_states, and gate, gate_up_proj and so on of the weights. All was poison before.
using GradientBytes = std::map<std::string, std::vector<std::byte>>;

/// How many elements each gradient has that the block of the call makes.
inline std::map<std::string, std::int64_t> gradient_elements(const GoldenCase& golden, const TrainingCall& call) {
  const BlockShape shape = make_shape(golden.shape(), dtype_of(golden), call.forward.options);
  const ModelShape& m = shape.model;
  const std::int64_t L = shape.experts.count;
  std::map<std::string, std::int64_t> elements;
  if (!call.forward.options.dW_only) elements["hidden_states"] = golden.tokens() * m.H;
  if (call.forward.options.dX_only) return elements;
  elements["gate"] = std::int64_t{m.E} * m.H;
  elements["gate_up_proj"] = L * 2 * m.I * m.H;
  elements["down_proj"] = L * m.H * m.I;
  if (!shape.has_shared_expert()) return elements;
  elements["shared_gate_up_proj"] = std::int64_t{2} * m.shared_expert_I * m.H;
  elements["shared_down_proj"] = std::int64_t{m.H} * m.shared_expert_I;
  return elements;
}

inline std::int64_t gradient_element_bytes(const std::string& name, const TrainingCall& call) {
  return name != "hidden_states" && call.forward.options.float32_dW ? 4 : 2;
}

/// Sets where gradients go; `address(name)` is null for those that are not made.
template <class Address>
void place_gradients(MoeBackwardArgs& args, const Address& address) {
  args.d_hidden_states = address("hidden_states");
  args.weights = {address("gate"), address("gate_up_proj"), address("down_proj"), address("shared_gate_up_proj"),
                  address("shared_down_proj")};
}

inline const void* incoming_d_router_logits(const GoldenCase& golden) {
  return golden.data(golden.has("d_router_logits") ? "d_router_logits" : "router_logits");
}

/// In float64, of the process's share and the tokens that are there.
inline std::map<std::string, std::vector<double>> expected_gradients(const GoldenCase& golden, const TrainingCall& call,
                                                                     const std::vector<std::int32_t>& selected) {
  const BlockCall& forward = call.forward;
  MoeBlockInputs inputs = judge_inputs(golden, forward, selected);
  if (forward.token_count >= 0) inputs.tokens = forward.token_count;
  const void* d_router_logits = call.d_router_logits ? incoming_d_router_logits(golden) : nullptr;
  const MoeBlockGradient gradient = reference_moe_block_gradient(inputs, golden.data("d_out"), d_router_logits);
  return {{"hidden_states", gradient.d_hidden_states},
          {"gate", gradient.d_gate},
          {"gate_up_proj", gradient.d_gate_up_proj},
          {"down_proj", gradient.d_down_proj},
          {"shared_gate_up_proj", gradient.d_shared_gate_up_proj},
          {"shared_down_proj", gradient.d_shared_down_proj}};
}

inline std::vector<double> gradient_values(const std::vector<std::byte>& bytes, std::int64_t element, DType dtype) {
  const Storage storage = element == 4 ? Storage::float32 : storage_of(dtype);
  return TensorView{bytes.data(), storage}.values(0, static_cast<std::int64_t>(bytes.size()) / element);
}

/// What is wrong with the gradients of a call whose forward selected `selected`; nothing when they are right.
inline std::string judge_gradients(const GoldenCase& golden, const TrainingCall& call, const std::vector<std::int32_t>& selected,
                                   const GradientBytes& found) {
  const ModelShape& m = golden.shape();
  const DType dtype = dtype_of(golden);
  const auto expected = expected_gradients(golden, call, selected);
  const std::map<std::string, std::pair<std::int64_t, int>> matrices = {
      {"gate", {m.E, m.H}},
      {"gate_up_proj", {std::int64_t{2} * m.I, m.H}},
      {"down_proj", {m.H, m.I}},
      {"shared_gate_up_proj", {std::int64_t{2} * m.shared_expert_I, m.H}},
      {"shared_down_proj", {m.H, m.shared_expert_I}},
  };
  const double tolerance = gradient_tolerance(storage_of(dtype));
  for (const auto& [name, bytes] : found) {
    std::vector<double> values = gradient_values(bytes, gradient_element_bytes(name, call), dtype);
    std::vector<double> right = expected.at(name);
    double error = 0;
    if (name == "hidden_states") {
      const auto there = static_cast<std::ptrdiff_t>(right.size());
      if (!std::all_of(bytes.begin() + 2 * there, bytes.end(), [](std::byte b) { return b == std::byte{0xff}; }))
        return "d_hidden_states was written past the token count";
      values.resize(right.size());
      error = worst_row_of_matrices(values, right, std::max<std::int64_t>(1, there / m.H), m.H);
    } else {
      for (double& value : right) value *= call.steps;
      const auto& [rows, columns] = matrices.at(name);
      error = worst_row_of_matrices(values, right, rows, columns);
    }
    if (!(error <= tolerance)) return fmt::format("d_{}: a row is wrong by {}, where {} is allowed", name, error, tolerance);
  }
  return "";
}

/// Calls check(golden, call) for every fixture and way to work; with `few` for a third of those, each way with some fixture.
template <class Check>
void for_each_training_call(bool few, Check check) {
  std::uint64_t seed = 0;
  unsigned number = 0;
  for (const std::string& name : golden_block_names()) {
    const GoldenCase golden(name);
    const auto run = [&](auto change) {
      if (few && ++number % 3 != 0) return;
      TrainingCall call;
      call.forward.seed = ++seed;
      // A forward that gathers or does not: the backward is the same.
      call.forward.options.permute_x = seed % 2 == 0;
      call.forward.options.permute_y = seed % 3 != 0;
      change(call);
      check(golden, call);
    };
    run([](TrainingCall& call) { call.d_router_logits = true; });
    run([&](TrainingCall& call) {
      call.forward.token_count = static_cast<int>(golden.tokens()) - 5;
      call.forward.options.float32_dW = true;
    });
    run([&](TrainingCall& call) {
      call.forward.inject = true;
      call.forward.options.experts = {golden.shape().E / 2, 0};
      call.forward.options.shared_expert = seed % 2 == 0;
    });
    run([](TrainingCall& call) { call.steps = 2; });
    run([](TrainingCall& call) {
      call.steps = 2;
      call.forward.options.float32_dW = true;
      call.forward.options.dW_only = true;
    });
    run([](TrainingCall& call) { call.forward.options.dX_only = true; });
    run([](TrainingCall& call) { call.forward.token_count = 0; });
    if (golden.shape().shared_expert_I > 0) run([](TrainingCall& call) { call.forward.options.overlap_router_shared = true; });
  }
}

}  // namespace moe_tune::test
