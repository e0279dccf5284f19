#include "runtime/launch/router_gradient_plan.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace moe_tune;

namespace {

constexpr RouterProblem qwen{.E = 128, .H = 2048, .top_k = 8};

using Steps = std::vector<std::pair<RouterGradientStep, int>>;
using enum RouterGradientStep;

void* memory() { return reinterpret_cast<void*>(std::uintptr_t{1} << 40); }

abi::RouterGradientArgs args_of(const RouterProblem& problem, int tokens, bool hidden_states = true, bool weight_too = true) {
  abi::RouterGradientArgs args{};
  args.tokens = tokens;
  if (hidden_states) args.d_hidden_states = memory();
  if (weight_too) args.d_weight = memory();
  RouterGradientWorkspace(problem, tokens).place(args, memory());
  return args;
}

Steps steps(const RouterProblem& problem, const abi::RouterGradientArgs& args) {
  Steps found;
  const RouterGradientPlan plan(problem, args);
  for (const auto& [step, blocks] : plan.launches()) found.emplace_back(step, blocks);
  return found;
}

}  // namespace

TEST_CASE("router gradient plan: four launches, fewer where an output is not wanted") {
  CHECK(steps(qwen, args_of(qwen, 8192)) == Steps{{logits, 1024}, {hidden, 64 * 16}, {weight, 8 * 16}, {sum, 256}});
  CHECK(steps(qwen, args_of(qwen, 8192, true, false)) == Steps{{logits, 1024}, {hidden, 64 * 16}});
  CHECK(steps(qwen, args_of(qwen, 8192, false, true)) == Steps{{logits, 1024}, {weight, 8 * 16}, {sum, 256}});
  CHECK(steps(qwen, args_of(qwen, 1)) == Steps{{logits, 1}, {hidden, 16}, {weight, 16}, {sum, 256}});
}

TEST_CASE("router gradient plan: no tokens have a gradient of the weight, which is zeros, and no other") {
  CHECK(steps(qwen, args_of(qwen, 0)) == Steps{{sum, 256}});
  CHECK(steps(qwen, args_of(qwen, 0, true, false)).empty());
}

TEST_CASE("router gradient plan: partial sums are of all tokens, of enough each, and no more than keep a GPU busy") {
  for (const int E : {1, 45, 128, 512}) {
    for (const int H : {8, 136, 2048, 7168}) {
      const RouterProblem problem{.E = E, .H = H};
      for (const int tokens : {1, 255, 256, 257, 1000, 8192, 100000, INT32_MAX - (1 << 16)}) {
        const abi::RouterGradientArgs args = args_of(problem, tokens, false);
        const auto [step, blocks] = steps(problem, args)[1];
        const int tiles =
            (E + router_gradient_tile_experts(problem) - 1) / router_gradient_tile_experts(problem) * ((H + 127) / 128);
        CHECK((step == weight && blocks % tiles == 0));
        const std::int64_t splits = blocks / tiles;
        CHECK(splits * args.split_tokens >= tokens);
        CHECK((splits - 1) * args.split_tokens < tokens);
        CHECK((args.split_tokens >= 256 && args.split_tokens % 32 == 0));
        CHECK((splits == 1 || blocks <= 132));
        // Rows of d_logits, then the sums.
        const std::size_t logits_bytes = static_cast<std::size_t>(tokens) * static_cast<std::size_t>((E + 7) / 8 * 8) * 2;
        CHECK(args.d_logits == memory());
        CHECK(reinterpret_cast<std::uintptr_t>(args.d_weight_sums) == reinterpret_cast<std::uintptr_t>(memory()) + logits_bytes);
        CHECK(RouterGradientWorkspace(problem, tokens).bytes() ==
              logits_bytes + static_cast<std::size_t>(splits * E * H) * sizeof(float));
      }
    }
  }
}
