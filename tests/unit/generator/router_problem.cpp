#include "moe_tune/router_problem.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

constexpr RouterProblem qwen{.kind = RouterKind::softmax_norm_topk, .dtype = DType::bf16, .E = 128, .H = 2048, .top_k = 8};

void check_refused(const char* message, void (*spoil)(RouterProblem&)) {
  RouterProblem problem = qwen;
  spoil(problem);
  CHECK_THROWS_MATCHES(validate(problem), UsageError, Catch::Matchers::Message(message));
}

}  // namespace

TEST_CASE("router problem: what a router serves") {
  CHECK_NOTHROW(validate(qwen));
  CHECK_NOTHROW(validate({.kind = RouterKind::sigmoid, .dtype = DType::fp16, .E = 1, .H = 8}));
  CHECK_NOTHROW(validate({.E = 512, .H = 1 << 20, .top_k = 16, .first_expert = 511, .local_experts = 1}));
  CHECK_NOTHROW(validate({.E = 16, .H = 5120, .top_k = 16}));
}

TEST_CASE("router problem: each field out of range is named with its value") {
  check_refused("router: E = 0 is outside [1, 512]", [](RouterProblem& p) { p.E = 0; });
  check_refused("router: E = 513 is outside [1, 512]", [](RouterProblem& p) { p.E = 513; });
  check_refused("router: H = 0 is outside [8, 1048576]", [](RouterProblem& p) { p.H = 0; });
  check_refused("router: H = 2052 is not a multiple of 8: rows are moved 16 bytes at a time",
                [](RouterProblem& p) { p.H = 2052; });
  check_refused("router: top_k = 0 is outside [1, 16]", [](RouterProblem& p) { p.top_k = 0; });
  check_refused("router: top_k = 17 is outside [1, 16]", [](RouterProblem& p) { p.top_k = 17; });
  check_refused("router: top_k = 8 of E = 7 experts", [](RouterProblem& p) { p.E = 7; });
  check_refused("router: first_expert = 128 is outside [0, 127]", [](RouterProblem& p) { p.first_expert = 128; });
  check_refused("router: first_expert = -1 is outside [0, 127]", [](RouterProblem& p) { p.first_expert = -1; });
  check_refused("router: local_experts = 29 is outside [0, 28]",
                [](RouterProblem& p) { p.first_expert = 100, p.local_experts = 29; });
  RouterProblem strange = qwen;
  strange.kind = static_cast<RouterKind>(7);
  CHECK_THROWS_AS(validate(strange), UsageError);
}

TEST_CASE("router problem: local experts, and one line for people") {
  RouterProblem problem = qwen;
  CHECK(local_experts(problem) == 128);
  CHECK(describe(problem) == "router softmax_norm_topk bf16 E=128 H=2048 top_k=8");
  problem.first_expert = 96;
  CHECK(local_experts(problem) == 32);
  CHECK(describe(problem) == "router softmax_norm_topk bf16 E=128 H=2048 top_k=8 experts 96 to 127");
  problem.local_experts = 4;
  CHECK(local_experts(problem) == 4);
  CHECK_THAT(describe(problem), Contains("experts 96 to 99"));
}
