// What a call of a router's gradient launches, and what it keeps in the workspace.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "generator/emit_router_gradient.hpp"
#include "templates/abi/router_gradient.cuh"

namespace moe_tune {

/// One kernel after the other, each once the one before has ended.
class RouterGradientPlan {
 public:
  struct Launch {
    RouterGradientStep step;
    int blocks;
  };

  /// Of `args`, what is wanted and the numbers of tokens count. Throws EnvironmentError where a grid would be too large.
  RouterGradientPlan(const RouterProblem& problem, const abi::RouterGradientArgs& args);

  std::span<const Launch> launches() const { return {launches_.data(), count_}; }

 private:
  /// No blocks: nothing.
  void add(RouterGradientStep step, std::int64_t blocks);

  std::array<Launch, router_gradient_steps.size()> launches_ = {};
  std::size_t count_ = 0;
};

/// The same on every device: rows of d_logits, and partial sums of d_weight.
class RouterGradientWorkspace {
 public:
  RouterGradientWorkspace(const RouterProblem& problem, int tokens);

  std::size_t bytes() const { return sums_offset_ + sums_bytes_; }
  /// Sets the pointers into it, and the tokens of a partial sum.
  void place(abi::RouterGradientArgs& args, void* workspace) const;

 private:
  std::size_t sums_offset_;
  std::size_t sums_bytes_;
  int split_tokens_;
};

}  // namespace moe_tune
