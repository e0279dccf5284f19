#include "runtime/launch/router_plan.hpp"

#include <algorithm>

#include "generator/support/integer.hpp"
#include "templates/abi/router.cuh"

namespace moe_tune {

namespace {

/// Of the kernels that select and sort.
int token_blocks(std::int64_t tokens) {
  if (tokens <= abi::router_chunk_tokens) return 1;
  const std::int64_t wanted = (tokens + abi::router_block_tokens - 1) / abi::router_block_tokens;
  return static_cast<int>(std::min<std::int64_t>(wanted, abi::router_most_blocks));
}

}  // namespace

RouterPlan::RouterPlan(const RouterProblem& problem, int tokens, int sm_count) {
  // Small tiles read more in all but each takes a fraction of the time: they win as long as all of them run at once, or nearly.
  const std::int64_t few_tiles =
      std::int64_t{ceil_div(tokens, abi::router_few_tokens)} * ceil_div(problem.E, abi::router_few_experts);
  if (few_tiles <= std::int64_t{sm_count} * 2) {
    if (tokens > 0) add(RouterStep::few_logits, static_cast<int>(few_tiles));
  } else {
    add(RouterStep::logits, ceil_div(tokens, abi::router_tile_tokens) * ceil_div(problem.E, router_tile_experts(problem)));
  }
  const int blocks = token_blocks(tokens);
  if (blocks == 1) {
    add(RouterStep::select_and_sort, 1);
  } else {
    add(RouterStep::select, blocks);
    add(RouterStep::sort, blocks);
  }
}

std::size_t router_workspace_bytes(const RouterProblem& problem, std::int64_t tokens) {
  const int blocks = token_blocks(tokens);
  return blocks == 1 ? 0 : static_cast<std::size_t>(blocks) * static_cast<std::size_t>(local_experts(problem)) * sizeof(int);
}

}  // namespace moe_tune
