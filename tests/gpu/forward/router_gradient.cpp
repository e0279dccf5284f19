// Gradients of routers: the emulated device's cases on this GPU, a model's shape, reruns, graphs, the public API.
#include <catch2/catch.hpp>

#include "moe_tune/router_gradient.hpp"
#include "runtime/jit/driver.hpp"
#include "tests/gpu/support/graph.hpp"
#include "tests/gpu/support/router_gradient_device.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr RouterProblem small_problem{
    .dtype = DType::bf16, .E = 40, .H = 136, .top_k = 5, .first_expert = 4, .local_experts = 30};

RouterGradientArgs api_args(const RouterGradientCase& gradient) {
  const abi::RouterGradientArgs& from = gradient.args();
  RouterGradientArgs args;
  args.hidden_states = from.hidden_states;
  args.weight = from.weight;
  args.router_logits = from.router_logits;
  args.selected_experts = from.selected_experts;
  args.d_topk_weights = from.d_topk_weights;
  args.d_router_logits = from.d_router_logits;
  args.d_hidden_states = from.d_hidden_states;
  args.d_weight = from.d_weight;
  args.d_weight_type = from.d_weight_float32 ? WeightType::float32 : WeightType::storage;
  args.accumulate = from.accumulate;
  args.token_count = from.token_count;
  args.tokens = from.tokens;
  args.workspace = gradient.workspace();
  args.workspace_bytes = RouterGradientWorkspace(gradient.call().problem, from.tokens).bytes();
  return args;
}

}  // namespace

TEST_CASE("router gradient: every kind, tokens around every border, given selections, bad data") {
  for_each_router_gradient([](const RouterGradientCall& call) {
    GpuRouterGradientDevice device;
    CHECK(RouterGradientCase(device, call).run() == "");
  });
}

TEST_CASE("router gradient: a model's shape") {
  const RouterProblem problem{.kind = RouterKind::softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 2048, .top_k = 8};
  for (const int tokens : {1, 16, 128, 129, 2500}) {
    GpuRouterGradientDevice device;
    CHECK(RouterGradientCase(device, {.problem = problem, .tokens = tokens, .d_router_logits = tokens > 16}).run() == "");
  }
}

TEST_CASE("router gradient: 100 reruns give the same bits") {
  for (const int tokens : {33, 3000}) {
    GpuRouterGradientDevice device;
    RouterGradientCase gradient(device,
                                {.problem = small_problem, .tokens = tokens, .d_router_logits = true, .accumulate = true});
    CHECK(gradient.run() == "");
    const auto first = gradient.memory();
    int different = 0;
    for (int rerun = 0; rerun < 100; ++rerun) {
      gradient.restore();
      device.launch(small_problem, gradient.args());
      different += gradient.memory() != first;
    }
    CHECK(different == 0);
  }
}

TEST_CASE("router gradient: the public API, directly and captured") {
  Library library{LibraryOptions{}};
  RouterGradient operation(library, small_problem, 0);
  operation.prepare();
  CHECK(operation.workspace_bytes(1000) == RouterGradientWorkspace(small_problem, 1000).bytes());
  CHECK_THROWS_AS(operation.workspace_bytes(-1), UsageError);
  for (const bool accumulate : {false, true}) {
    GpuRouterGradientDevice device;
    RouterGradientCase gradient(
        device, {.problem = small_problem, .tokens = 1000, .float32 = true, .accumulate = accumulate, .token_count = 777});
    const RouterGradientArgs args = api_args(gradient);
    const Stream stream;
    gradient.restore();
    operation.run(args, stream.get());
    stream.synchronize();
    CHECK(gradient.check() == "");
    const CapturedGraph graph(stream.get(), [&] { operation.run(args, stream.get()); });
    for (int replay = 0; replay < 2; ++replay) {
      gradient.restore();
      graph.launch(stream.get());
      stream.synchronize();
      CHECK(gradient.check() == "");
    }
  }
}

TEST_CASE("router gradient: bad ids are reported by the library") {
  Library library{LibraryOptions{}};
  RouterGradient operation(library, small_problem, 0);
  GpuRouterGradientDevice device;
  RouterGradientCase gradient(device, {.problem = small_problem, .tokens = 50, .bad_ids = true});
  gradient.restore();
  operation.run(api_args(gradient), nullptr);
  driver().cuStreamSynchronize(nullptr);
  CHECK(library.status(0, true).bad_selected_expert);
  RouterGradientArgs too_small = api_args(gradient);
  --too_small.workspace_bytes;
  CHECK_THROWS_AS(operation.run(too_small, nullptr), UsageError);
}
