#include "runtime/launch/router_gradient_plan.hpp"

#include <algorithm>

#include "generator/support/integer.hpp"
#include "runtime/launch/launch_kernel.hpp"

namespace moe_tune {

namespace {

/// As many blocks make d_weight as the GPUs that this is for have SMs, as far as each has this many tokens.
constexpr int weight_blocks = 132;
constexpr int least_split_tokens = 256;
/// Tokens of a step of the reduction: a split is a multiple.
constexpr int token_grain = 32;

int weight_tiles(const RouterProblem& p) {
  return ceil_div(p.E, router_gradient_tile_experts(p)) * ceil_div(p.H, abi::router_gradient_tile_columns);
}

int split_tokens_for(const RouterProblem& p, int tokens) {
  const int most_splits = std::max(1, weight_blocks / weight_tiles(p));
  return round_up(std::max(blocks_for(tokens, most_splits), least_split_tokens), token_grain);
}

}  // namespace

RouterGradientPlan::RouterGradientPlan(const RouterProblem& p, const abi::RouterGradientArgs& args) {
  add(RouterGradientStep::logits, blocks_for(args.tokens, abi::router_gradient_block_tokens));
  if (args.d_hidden_states != nullptr) {
    add(RouterGradientStep::hidden, std::int64_t{blocks_for(args.tokens, abi::router_gradient_tile_tokens)} *
                                        ceil_div(p.H, abi::router_gradient_tile_columns));
  }
  if (args.d_weight != nullptr) {
    add(RouterGradientStep::weight, std::int64_t{blocks_for(args.tokens, args.split_tokens)} * weight_tiles(p));
    // Also of no tokens: d_weight becomes zeros.
    add(RouterGradientStep::sum, blocks_for(std::int64_t{p.E} * p.H, abi::router_gradient_sum_elements));
  }
}

void RouterGradientPlan::add(RouterGradientStep step, std::int64_t blocks) {
  if (blocks > 0) launches_[count_++] = {step, narrow<int>(blocks, "blocks of a kernel")};
}

RouterGradientWorkspace::RouterGradientWorkspace(const RouterProblem& p, int tokens)
    : split_tokens_(split_tokens_for(p, tokens)) {
  // Rows are multiples of 16 bytes, and so is where the sums begin.
  sums_offset_ = static_cast<std::size_t>(tokens) * static_cast<std::size_t>(round_up(p.E, 8)) * 2;
  sums_bytes_ = static_cast<std::size_t>(blocks_for(tokens, split_tokens_)) * static_cast<std::size_t>(p.E) *
                static_cast<std::size_t>(p.H) * sizeof(float);
}

void RouterGradientWorkspace::place(abi::RouterGradientArgs& args, void* workspace) const {
  args.d_logits = workspace;
  args.d_weight_sums = reinterpret_cast<float*>(static_cast<char*>(workspace) + sums_offset_);
  args.split_tokens = split_tokens_;
}

}  // namespace moe_tune
