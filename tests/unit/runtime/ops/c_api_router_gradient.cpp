// The error paths of the router's gradient in the C API.
#include <catch2/catch.hpp>

#include <cstddef>

#include "moe_tune/moe_tune.h"
#include "tests/support/environment_variable.hpp"
#include "tests/unit/runtime/ops/forward_call.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

const EnvironmentVariable no_databases("MOE_TUNE_MODE", "off");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

// 6 tokens, 2 choices, 4 experts of 8, 32 columns.
struct GradientCall {
  TestTensor hidden_states{{6, 32}, bf16};
  TestTensor weight{{8, 32}, bf16};
  TestTensor router_logits{{6, 8}, bf16};
  TestTensor selected_experts{{6, 2}, int32};
  TestTensor d_topk_weights{{6, 2}, float32};
  TestTensor d_router_logits{{6, 8}, bf16};
  TestTensor d_hidden_states{{6, 32}, bf16};
  TestTensor d_weight{{8, 32}, float32};
  TestTensor token_count{{1}, int32};
  moe_tune_router_gradient_args args{sizeof(args),
                                     MOE_TUNE_SOFTMAX_NORM_TOPK,
                                     2,
                                     4,
                                     0,
                                     0,
                                     &hidden_states.tensor,
                                     &weight.tensor,
                                     &router_logits.tensor,
                                     &selected_experts.tensor,
                                     &d_topk_weights.tensor,
                                     &d_router_logits.tensor,
                                     &d_hidden_states.tensor,
                                     &d_weight.tensor,
                                     &token_count.tensor,
                                     nullptr};

  int run() const { return moe_tune_router_gradient(&args, nullptr); }
};

void check(const char* message, void (*spoil)(GradientCall&)) {
  GradientCall call;
  spoil(call);
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains(message));
}

}  // namespace

TEST_CASE("C API router gradient: errors") {
  const GradientCall sound;
  CHECK(sound.run() != MOE_TUNE_OK);
  CHECK_THAT(moe_tune_last_error(), Contains("workspace") || Contains("4096") || Contains("driver"));
  check("struct_size is 96, less than 104", [](GradientCall& c) { c.args.struct_size = 96; });
  check("kind = 3 is no moe_tune_router_kind", [](GradientCall& c) { c.args.kind = 3; });
  check("local_experts = 7", [](GradientCall& c) { c.args.local_experts = 7; });
  check("weight has shape (8, 24), not (8, 32)", [](GradientCall& c) { c.weight.shape[1] = 24; });
  check("router_logits is not of hidden_states' dtype", [](GradientCall& c) { c.router_logits.tensor.dtype = fp16; });
  check("selected_experts is not int32", [](GradientCall& c) { c.selected_experts.tensor.dtype = int64; });
  check("d_topk_weights is not float32", [](GradientCall& c) { c.d_topk_weights.tensor.dtype = bf16; });
  check("d_router_logits has shape (6, 4), not (6, 8)", [](GradientCall& c) { c.d_router_logits.shape[1] = 4; });
  check("d_hidden_states is on device 1", [](GradientCall& c) { c.d_hidden_states.tensor.device.device_id = 1; });
  check("d_weight is neither float32 nor of hidden_states's dtype", [](GradientCall& c) { c.d_weight.tensor.dtype = fp16; });
  check("token_count is not int32", [](GradientCall& c) { c.token_count.tensor.dtype = int64; });
  CHECK(moe_tune_router_gradient(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_router_gradient_workspace_bytes(&sound.args, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("bytes is NULL"));
  CHECK(moe_tune_prepare_router_gradient(nullptr) == MOE_TUNE_USAGE_ERROR);
}
