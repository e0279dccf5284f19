// Routers: the emulated device's cases on this GPU, a model's shape, reruns.
#include <catch2/catch.hpp>

#include "tests/gpu/support/router_device.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

TEST_CASE("router: every kind, tokens around every border, given selections, bad data") {
  for_each_route([](const RouterCall& call) {
    GpuRouterDevice device;
    CHECK(RouterCase(device, call).run() == "");
  });
}

TEST_CASE("router: a model's shape") {
  const RouterProblem problem{.kind = RouterKind::softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 2048, .top_k = 8};
  for (const int tokens : {1, 16, 128, 129, 2000}) {
    GpuRouterDevice device;
    CHECK(RouterCase(device, {.problem = problem, .tokens = tokens, .sm_count = Gpu::get().sm_count()}).run() == "");
  }
}

TEST_CASE("router: 100 reruns give the same bits") {
  const RouterProblem problem{.kind = RouterKind::softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 136, .top_k = 8};
  for (const int tokens : {33, 1000}) {
    GpuRouterDevice device;
    RouterCase route(device, {.problem = problem, .tokens = tokens, .sm_count = Gpu::get().sm_count(), .data = RouterData::ties});
    CHECK(route.run() == "");
    const auto first = route.memory();
    int different = 0;
    for (int rerun = 0; rerun < 100; ++rerun) {
      route.run();
      different += route.memory() != first;
    }
    CHECK(different == 0);
  }
}
