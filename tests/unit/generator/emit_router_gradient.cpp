#include "generator/emit_router_gradient.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <string>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

constexpr RouterProblem llama{
    .kind = RouterKind::sigmoid, .dtype = DType::fp16, .E = 16, .H = 5120, .top_k = 1, .first_expert = 4};

}  // namespace

TEST_CASE("emit router gradient: the same problem, the same bytes; every field makes another source") {
  CHECK(emit_router_gradient(llama) == emit_router_gradient(llama));
  std::set<std::string> sources = {emit_router_gradient(llama), emit_router(llama)};
  CHECK(sources.size() == 2);
  for (void (*change)(RouterProblem&) : {
           +[](RouterProblem& p) { p.kind = RouterKind::softmax; },
           +[](RouterProblem& p) { p.dtype = DType::bf16; },
           +[](RouterProblem& p) { p.E = 24; },
           +[](RouterProblem& p) { p.H = 4096; },
           +[](RouterProblem& p) { p.top_k = 2; },
           +[](RouterProblem& p) { p.first_expert = 0; },
           +[](RouterProblem& p) { p.local_experts = 4; },
       }) {
    RouterProblem problem = llama;
    change(problem);
    CHECK(sources.insert(emit_router_gradient(problem)).second);
  }
}

TEST_CASE("emit router gradient: a source of its own, with every step's entry point") {
  const std::string source = emit_router_gradient(llama);
  CHECK_THAT(source, !Contains("#include") && !Contains("#pragma once"));
  CHECK_THAT(source, Contains("gradient of " + describe(llama)) && Contains("/*first_expert*/ 4, /*local_experts*/ 12"));
  std::set<std::string> names;
  for (const RouterGradientStep step : router_gradient_steps) {
    const std::string name = kernel_shape(llama, step).name;
    CHECK(names.insert(name).second);
    CHECK_THAT(source, Contains("\n" + name + "("));
  }
  RouterProblem bad = llama;
  bad.top_k = 17;
  CHECK_THROWS_AS(emit_router_gradient(bad), UsageError);
}

TEST_CASE("emit router gradient: shapes fit every device that the kernels are for") {
  // sm_86 and sm_120 have the least shared memory for a block.
  constexpr int least_shared_memory = 99 * 1024;
  for (const int E : {1, 8, 33, 64, 65, 128, 512}) {
    for (const RouterGradientStep step : router_gradient_steps) {
      const RouterKernelShape shape = kernel_shape({.E = E, .H = 64}, step);
      CHECK(shape.shared_bytes <= least_shared_memory);
      CHECK((shape.threads % 32 == 0 && shape.threads <= 1024));
    }
  }
  CHECK(router_gradient_tile_experts({.E = 1, .H = 8}) == 32);
  CHECK(router_gradient_tile_experts({.E = 33, .H = 8}) == 64);
  CHECK(router_gradient_tile_experts({.E = 512, .H = 8}) == 128);
}
