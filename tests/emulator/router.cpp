// Routers on the emulated device: every kind, both dtypes, tokens around every border, given selections, bad data, all schedules.
#include <catch2/catch.hpp>

#include <map>
#include <memory>

#include "tests/support/emulated_router_device.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

/// Built once for all tests.
const emulator::RouterKernel& kernel_of(const RouterProblem& problem) {
  static std::map<RouterProblem, std::unique_ptr<const emulator::RouterKernel>> kernels;
  auto& kernel = kernels[problem];
  if (!kernel) kernel = std::make_unique<const emulator::RouterKernel>(problem);
  return *kernel;
}

constexpr RouterProblem small_problem = {
    .dtype = DType::bf16, .E = 40, .H = 72, .top_k = 5, .first_expert = 4, .local_experts = 30};

}  // namespace

TEST_CASE("emulator: router") {
  for_each_route([seed = std::uint64_t{0}](const RouterCall& call) mutable {
    EmulatedRouterDevice device(kernel_of(call.problem), seed++);
    CHECK(RouterCase(device, call).run() == "");
  });
}

TEST_CASE("emulator: every kind of router, on all data") {
  for (const RouterKind kind : {RouterKind::softmax, RouterKind::softmax_norm_topk, RouterKind::sigmoid}) {
    for (const DType dtype : {DType::bf16, DType::fp16}) {
      RouterProblem problem = small_problem;
      problem.kind = kind;
      problem.dtype = dtype;
      for (const RouterData data :
           {RouterData::random, RouterData::ties, RouterData::zeros, RouterData::nan_rows, RouterData::bad_logits}) {
        for (const bool inject : {false, true}) {
          for (const std::uint32_t seed : {1u, 2u}) {
            EmulatedRouterDevice device(kernel_of(problem), seed);
            RouterCase route(device,
                             {.problem = problem, .tokens = 37, .data = data, .inject = inject, .bad_ids = inject, .seed = seed});
            CHECK(route.run() == "");
          }
        }
      }
    }
  }
}

TEST_CASE("emulator: reruns of a router give the same bits under every schedule") {
  for (const int tokens : {33, 200}) {
    std::vector<std::vector<std::byte>> first;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      EmulatedRouterDevice device(kernel_of(small_problem), seed);
      RouterCase route(device, {.problem = small_problem, .tokens = tokens});
      CHECK(route.run() == "");
      if (seed == 0) first = route.memory();
      CHECK(route.memory() == first);
    }
  }
}

TEST_CASE("emulator: more tokens for a block than it has in shared memory at a time") {
  // What 256 blocks of 64 tokens cannot serve.
  const RouterProblem problem = {.kind = RouterKind::sigmoid, .E = 4, .H = 8, .top_k = 2};
  EmulatedRouterDevice device(kernel_of(problem), 1);
  RouterCase route(device, {.problem = problem, .tokens = 256 * 130 + 77});
  CHECK(route.run() == "");
}
