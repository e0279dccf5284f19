// What a call of a router launches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "generator/emit_router.hpp"

namespace moe_tune {

/// One kernel after the other, each once the one before has ended.
class RouterPlan {
 public:
  struct Launch {
    RouterStep step;
    int blocks;
  };

  /// `tokens` is 0 to most_rows / top_k. On a device with `sm_count` SMs: more of them take smaller tiles of logits.
  RouterPlan(const RouterProblem& problem, int tokens, int sm_count);

  std::span<const Launch> launches() const { return {launches_.data(), count_}; }

 private:
  void add(RouterStep step, int blocks) { launches_[count_++] = {step, blocks}; }

  std::array<Launch, 3> launches_ = {};
  std::size_t count_ = 0;
};

/// Of RouterArgs::histograms.
std::size_t router_workspace_bytes(const RouterProblem& problem, std::int64_t tokens);

}  // namespace moe_tune
