// Gradients of routers on the emulated device: every kind, both dtypes, tokens around every border, bad data, all schedules.
#include <catch2/catch.hpp>

#include <map>
#include <memory>

#include "tests/support/emulated_router_gradient_device.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Built once for all tests.
const emulator::RouterGradientKernel& kernel_of(const RouterProblem& problem) {
  static std::map<RouterProblem, std::unique_ptr<const emulator::RouterGradientKernel>> kernels;
  auto& kernel = kernels[problem];
  if (!kernel) kernel = std::make_unique<const emulator::RouterGradientKernel>(problem);
  return *kernel;
}

constexpr RouterProblem small_problem = {
    .dtype = DType::bf16, .E = 40, .H = 72, .top_k = 5, .first_expert = 4, .local_experts = 30};

}  // namespace

TEST_CASE("emulator: gradient of a router") {
  for_each_router_gradient([seed = std::uint64_t{0}](const RouterGradientCall& call) mutable {
    EmulatedRouterGradientDevice device(kernel_of(call.problem), seed++);
    CHECK(RouterGradientCase(device, call).run() == "");
  });
}

TEST_CASE("emulator: gradient of every kind of router, on all data") {
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::softmax_norm_topk, RouterKind::sigmoid}) {
    for (const DType dtype : {DType::bf16, DType::fp16}) {
      RouterProblem problem = small_problem;
      problem.kind = kind;
      problem.dtype = dtype;
      for (const GradientData data : {GradientData::random, GradientData::large, GradientData::nan_tokens}) {
        for (const bool given : {false, true}) {
          EmulatedRouterGradientDevice device(kernel_of(problem), given);
          RouterGradientCase gradient(
              device,
              {.problem = problem, .tokens = 37, .data = data, .given = given, .bad_ids = given, .d_router_logits = given});
          CHECK(gradient.run() == "");
        }
      }
    }
  }
}

TEST_CASE("emulator: gradient of a router, each output by itself or added to") {
  for (const bool float32 : {false, true}) {
    for (const bool accumulate : {false, true}) {
      for (const int outputs : {1, 2, 3}) {
        for (const std::optional<int>& token_count : {std::optional<int>(), std::optional(0), std::optional(20)}) {
          EmulatedRouterGradientDevice device(kernel_of(small_problem), 3);
          RouterGradientCase gradient(device, {.problem = small_problem,
                                               .tokens = 128,
                                               .d_hidden_states = (outputs & 1) != 0,
                                               .d_weight = (outputs & 2) != 0,
                                               .float32 = float32,
                                               .accumulate = accumulate,
                                               .token_count = token_count});
          CHECK(gradient.run() == "");
        }
      }
    }
  }
}

TEST_CASE("emulator: more partial sums of a router's weight than are loaded at once") {
  const RouterProblem problem = {.kind = RouterKind::sigmoid, .dtype = DType::fp16, .E = 9, .H = 24, .top_k = 2};
  for (const std::optional<int>& token_count : {std::optional<int>(), std::optional(8 * 256 + 1)}) {
    EmulatedRouterGradientDevice device(kernel_of(problem), 1);
    RouterGradientCase gradient(device, {.problem = problem, .tokens = 9 * 256 + 5, .token_count = token_count});
    CHECK(gradient.run() == "");
  }
}

TEST_CASE("emulator: reruns of a router's gradient give the same bits under every schedule") {
  std::vector<std::vector<std::byte>> first;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    EmulatedRouterGradientDevice device(kernel_of(small_problem), seed);
    RouterGradientCase gradient(device, {.problem = small_problem, .tokens = 300, .d_router_logits = true});
    CHECK(gradient.run() == "");
    if (seed == 0) first = gradient.memory();
    CHECK(gradient.memory() == first);
  }
}
