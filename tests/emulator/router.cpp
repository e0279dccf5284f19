// Routers on the emulated device: every kind, both dtypes, tokens around every border, given selections, bad data, all schedules.
#include <catch2/catch.hpp>

#include <map>
#include <memory>

#include "runtime/emulator/router_kernel.hpp"
#include "tests/support/emulated_device.hpp"
#include "tests/support/router_cases.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

class EmulatedRouterDevice : public EmulatedDevice, public RouterDevice {
 public:
  explicit EmulatedRouterDevice(std::uint64_t seed) : seed_(seed) {}

  void launch(const RouterProblem& problem, const abi::RouterArgs& args, int sm_count) override {
    // Built once for all tests.
    static std::map<RouterProblem, std::unique_ptr<const emulator::RouterKernel>> kernels;
    auto& kernel = kernels[problem];
    if (!kernel) kernel = std::make_unique<const emulator::RouterKernel>(problem);
    kernel->launch(memory(), args, seed_, sm_count);
  }

 private:
  std::uint64_t seed_;
};

constexpr RouterProblem small_problem = {
    .dtype = DType::bf16, .E = 40, .H = 72, .top_k = 5, .first_expert = 4, .local_experts = 30};

}  // namespace

TEST_CASE("emulator: router") {
  for_each_route([seed = std::uint64_t{0}](const RouterCall& call) mutable {
    EmulatedRouterDevice device(seed++);
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
            EmulatedRouterDevice device(seed);
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
      EmulatedRouterDevice device(seed);
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
  EmulatedRouterDevice device(1);
  RouterCase route(device, {.problem = problem, .tokens = 256 * 130 + 77});
  CHECK(route.run() == "");
}
