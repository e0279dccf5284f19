#include "runtime/launch/router_plan.hpp"

#include <catch2/catch.hpp>

#include <vector>

#include "templates/abi/router.cuh"

using namespace moe_tune;

namespace {

constexpr RouterProblem qwen{.E = 128, .H = 2048, .top_k = 8};
constexpr int h200 = 132;

using Steps = std::vector<std::pair<RouterStep, int>>;

Steps steps(const RouterProblem& problem, int tokens, int sm_count = h200) {
  Steps found;
  const RouterPlan plan(problem, tokens, sm_count);
  for (const auto& [step, blocks] : plan.launches()) found.emplace_back(step, blocks);
  return found;
}

}  // namespace

TEST_CASE("router plan: no tokens are sorted all the same, so that every expert has none") {
  CHECK(steps(qwen, 0) == Steps{{RouterStep::select_and_sort, 1}});
}

TEST_CASE("router plan: two launches for few tokens, three for many") {
  CHECK(steps(qwen, 1) == Steps{{RouterStep::few_logits, 16}, {RouterStep::select_and_sort, 1}});
  CHECK(steps(qwen, 17) == Steps{{RouterStep::few_logits, 32}, {RouterStep::select_and_sort, 1}});
  CHECK(steps(qwen, 128) == Steps{{RouterStep::few_logits, 128}, {RouterStep::select_and_sort, 1}});
  CHECK(steps(qwen, 129) == Steps{{RouterStep::few_logits, 144}, {RouterStep::select, 3}, {RouterStep::sort, 3}});
  CHECK(steps(qwen, 8192) == Steps{{RouterStep::logits, 128}, {RouterStep::select, 128}, {RouterStep::sort, 128}});
}

TEST_CASE("router plan: tiles of logits cover all tokens and experts") {
  for (const int E : {1, 45, 128, 160, 512}) {
    const RouterProblem problem{.E = E, .H = 64};
    for (const int tokens : {1, 63, 64, 65, 1000}) {
      for (const int sm_count : {0, 100000}) {
        const auto [step, blocks] = steps(problem, tokens, sm_count).front();
        const bool few = step == RouterStep::few_logits;
        CHECK(few == (sm_count > 0));
        const int tile_tokens = few ? abi::router_few_tokens : abi::router_tile_tokens;
        const int tile_experts = few ? abi::router_few_experts : router_tile_experts(problem);
        CHECK(blocks == (tokens + tile_tokens - 1) / tile_tokens * ((E + tile_experts - 1) / tile_experts));
      }
    }
  }
}

TEST_CASE("router plan: the workspace has a row of counts for every block that selects") {
  const RouterProblem problem{.E = 128, .H = 64, .top_k = 2, .first_expert = 32, .local_experts = 5};
  CHECK(router_workspace_bytes(problem, 0) == 0);
  CHECK(router_workspace_bytes(problem, 128) == 0);
  for (const int tokens : {129, 8192, 16384, 16385, 1 << 24}) {
    const Steps found = steps(problem, tokens);
    CHECK(router_workspace_bytes(problem, tokens) == static_cast<std::size_t>(found.back().second) * 5 * 4);
    CHECK(found.back().second <= abi::router_most_blocks);
    CHECK(found[1].second == found[2].second);
  }
}
