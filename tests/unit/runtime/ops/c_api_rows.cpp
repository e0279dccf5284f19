// The error paths of the row operations in the C API.
#include <catch2/catch.hpp>

#include <cstddef>
#include <string>

#include "moe_tune/moe_tune.h"
#include "tests/support/environment_variable.hpp"
#include "tests/unit/runtime/ops/forward_call.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

const EnvironmentVariable no_databases("MOE_TUNE_MODE", "off");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

// 6 tokens, 2 choices, 4 experts, 32 columns.

struct PermuteCall {
  TestTensor x{{6, 32}, bf16};
  TestTensor rows{{12, 32}, bf16};
  TestTensor gather_indices{{12}, int64};
  TestTensor m_sizes{{4}, int32};
  TestTensor slot_rows{{6, 2}, int32};
  TestTensor topk_weights{{6, 2}, float32};
  moe_tune_permute_rows_args args{sizeof(args),    2,       &x.tensor, &rows.tensor, &gather_indices.tensor,
                                  &m_sizes.tensor, nullptr, nullptr};

  void spread() {
    args.slot_rows = &slot_rows.tensor;
    args.gather_indices = args.m_sizes = nullptr;
  }

  int run() const { return moe_tune_permute_rows(&args, nullptr); }
};

struct CombineCall {
  TestTensor rows{{12, 32}, bf16};
  TestTensor out{{6, 32}, bf16};
  TestTensor topk_weights{{6, 2}, float32};
  moe_tune_combine_rows_args args{sizeof(args), 2,       &rows.tensor, &out.tensor, &topk_weights.tensor,
                                  nullptr,      nullptr, nullptr,      0,           0};

  int run() const { return moe_tune_combine_rows(&args, nullptr); }
};

struct SwigluCall {
  TestTensor d_activation{{12, 32}, bf16};
  TestTensor pre_activation{{12, 64}, bf16};
  TestTensor d_pre_activation{{12, 64}, bf16};
  TestTensor activation{{12, 32}, bf16};
  TestTensor topk_weights{{6, 2}, bf16};
  TestTensor d_topk_weights{{12}, float32};
  TestTensor gather_indices{{12}, int32};
  TestTensor m_sizes{{4}, int64};
  moe_tune_swiglu_gradient_args args{sizeof(args),
                                     2,
                                     &d_activation.tensor,
                                     &pre_activation.tensor,
                                     &d_pre_activation.tensor,
                                     &activation.tensor,
                                     &topk_weights.tensor,
                                     &d_topk_weights.tensor,
                                     &gather_indices.tensor,
                                     &m_sizes.tensor,
                                     0,
                                     0};

  int run() const { return moe_tune_swiglu_gradient(&args, nullptr); }
};

template <class Call>
void check_mistake(const char* message, void (*make)(Call&)) {
  Call call;
  make(call);
  INFO(message);
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains(message));
}

template <class Call>
void check_right(void (*vary)(Call&)) {
  Call call;
  vary(call);
  const int result = call.run();
  const std::string message = moe_tune_last_error();
  INFO(message);
  CHECK((result == MOE_TUNE_ENVIRONMENT_ERROR || message.find("device 4096 does not exist") != std::string::npos));
}

}  // namespace

TEST_CASE("C API: a right row operation gets as far as looking for its device") {
  check_right<PermuteCall>([](auto&) {});
  check_right<PermuteCall>([](auto& c) { c.args.slots_per_row = 1, c.x.shape[0] = 12, c.args.m_sizes = nullptr; });
  check_right<PermuteCall>([](auto& c) { c.x.shape[0] = c.rows.shape[0] = c.gather_indices.shape[0] = 0; });
  check_right<PermuteCall>([](auto& c) { c.x.tensor.dtype = c.rows.tensor.dtype = fp16, c.rows.strides[0] = 40; });
  check_right<PermuteCall>([](auto& c) { c.spread(); });
  check_right<PermuteCall>([](auto& c) { c.spread(), c.args.topk_weights = &c.topk_weights.tensor; });
  check_right<PermuteCall>([](auto& c) { c.args.struct_size = offsetof(moe_tune_permute_rows_args, slot_rows); });
  check_right<CombineCall>([](auto&) {});
  check_right<CombineCall>([](auto& c) { c.args.topk_weights = nullptr; });
  check_right<SwigluCall>([](auto&) {});
  check_right<SwigluCall>([](auto& c) {
    c.args.activation = c.args.topk_weights = c.args.d_topk_weights = c.args.gather_indices = c.args.m_sizes = nullptr;
    c.args.top_k = 0;
  });
  check_right<SwigluCall>([](auto& c) { c.args.d_pre_activation = c.args.pre_activation; });
  check_right<SwigluCall>([](auto& c) { c.args.scaled_input = 1, c.args.topk_weights = nullptr; });
  check_right<SwigluCall>([](auto& c) { c.args.struct_size = offsetof(moe_tune_swiglu_gradient_args, scaled_input); });
  CHECK(moe_tune_prepare_row_operations(absent_device) != MOE_TUNE_OK);
}

TEST_CASE("C API: each wrong argument of permute_rows is named") {
  const auto check = [](const char* message, void (*make)(PermuteCall&)) { check_mistake(message, make); };
  CHECK(moe_tune_permute_rows(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  check("set it to sizeof(moe_tune_permute_rows_args)", [](PermuteCall& c) { c.args.struct_size = 8; });
  check("slots_per_row = 0", [](PermuteCall& c) { c.args.slots_per_row = 0; });
  check("rows has 12 rows, not a multiple of slots_per_row = 5", [](PermuteCall& c) { c.args.slots_per_row = 5; });
  check("x is NULL", [](PermuteCall& c) { c.args.x = nullptr; });
  check("rows is NULL", [](PermuteCall& c) { c.args.rows = nullptr; });
  check("gather_indices is NULL, and so is slot_rows", [](PermuteCall& c) { c.args.gather_indices = nullptr; });
  check("slot_rows has shape (6, 3), not (6, 2)", [](PermuteCall& c) { c.spread(), c.slot_rows.shape[1] = 3; });
  check("slot_rows is not int32", [](PermuteCall& c) { c.spread(), c.slot_rows.tensor.dtype = int64; });
  check("slot_rows is on device 1", [](PermuteCall& c) { c.spread(), c.slot_rows.tensor.device.device_id = 1; });
  check("x has shape (7, 32), not (6, 32)", [](PermuteCall& c) { c.x.shape[0] = 7; });
  check("rows has shape (12, 24), not (12, 32)", [](PermuteCall& c) { c.rows.shape[1] = 24; });
  check("rows is not of x's dtype", [](PermuteCall& c) { c.rows.tensor.dtype = fp16; });
  check("x is neither bfloat16 nor float16", [](PermuteCall& c) { c.x.tensor.dtype = c.rows.tensor.dtype = float32; });
  check("gather_indices has shape (11), not (12)", [](PermuteCall& c) { c.gather_indices.shape[0] = 11; });
  check("gather_indices is neither int32 nor int64", [](PermuteCall& c) { c.gather_indices.tensor.dtype = int16; });
  check("m_sizes has 0 elements", [](PermuteCall& c) { c.m_sizes.shape[0] = 0; });
  check("m_sizes is neither int32 nor int64", [](PermuteCall& c) { c.m_sizes.tensor.dtype = uint32; });
  check("m_sizes is on device 1", [](PermuteCall& c) { c.m_sizes.tensor.device.device_id = 1; });
  check("rows is on device 1", [](PermuteCall& c) { c.rows.tensor.device.device_id = 1; });
  check("x is not on a CUDA device", [](PermuteCall& c) { c.x.tensor.device.device_type = kDLCPU; });
  check("x is expanded", [](PermuteCall& c) { c.x.strides[0] = 0; });
}

TEST_CASE("C API: each wrong argument of combine_rows is named") {
  const auto check = [](const char* message, void (*make)(CombineCall&)) { check_mistake(message, make); };
  CHECK(moe_tune_combine_rows(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  check("set it to sizeof(moe_tune_combine_rows_args)", [](CombineCall& c) { c.args.struct_size = 8; });
  check("top_k = -1", [](CombineCall& c) { c.args.top_k = -1; });
  check("rows has 12 rows, not a multiple of top_k = 5", [](CombineCall& c) { c.args.top_k = 5; });
  check("rows is NULL", [](CombineCall& c) { c.args.rows = nullptr; });
  check("out is NULL", [](CombineCall& c) { c.args.out = nullptr; });
  check("out has shape (5, 32), not (6, 32)", [](CombineCall& c) { c.out.shape[0] = 5; });
  check("out is not of rows's dtype", [](CombineCall& c) { c.out.tensor.dtype = fp16; });
  check("topk_weights has shape (6, 3), not (6, 2)", [](CombineCall& c) { c.topk_weights.shape[1] = 3; });
  check("topk_weights is not contiguous", [](CombineCall& c) { c.topk_weights.strides[0] = 4; });
  check("topk_weights is neither float32 nor of rows's dtype", [](CombineCall& c) { c.topk_weights.tensor.dtype = fp16; });
  check("topk_weights is on device 1", [](CombineCall& c) { c.topk_weights.tensor.device.device_id = 1; });
}

TEST_CASE("C API: each wrong argument of swiglu_gradient is named") {
  const auto check = [](const char* message, void (*make)(SwigluCall&)) { check_mistake(message, make); };
  CHECK(moe_tune_swiglu_gradient(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  check("set it to sizeof(moe_tune_swiglu_gradient_args)", [](SwigluCall& c) { c.args.struct_size = 40; });
  check("d_activation has 12 rows, not a multiple of top_k = 5", [](SwigluCall& c) { c.args.top_k = 5; });
  check("d_activation is NULL", [](SwigluCall& c) { c.args.d_activation = nullptr; });
  check("pre_activation is NULL", [](SwigluCall& c) { c.args.pre_activation = nullptr; });
  check("d_pre_activation is NULL", [](SwigluCall& c) { c.args.d_pre_activation = nullptr; });
  check("pre_activation has shape (12, 32), not (12, 64)", [](SwigluCall& c) { c.pre_activation.shape[1] = 32; });
  check("d_pre_activation has shape (11, 64), not (12, 64)", [](SwigluCall& c) { c.d_pre_activation.shape[0] = 11; });
  check("activation has shape (12, 64), not (12, 32)", [](SwigluCall& c) { c.activation.shape[1] = 64; });
  check("activation is not of d_activation's dtype", [](SwigluCall& c) { c.activation.tensor.dtype = fp16; });
  check("topk_weights has shape (6, 3), not (6, 2)", [](SwigluCall& c) { c.topk_weights.shape[1] = 3; });
  check("d_topk_weights has shape (11), not (12)", [](SwigluCall& c) { c.d_topk_weights.shape[0] = 11; });
  check("d_topk_weights is neither float32 nor of d_activation's dtype",
        [](SwigluCall& c) { c.d_topk_weights.tensor.dtype = fp16; });
  check("gather_indices has shape (6), not (12)", [](SwigluCall& c) { c.gather_indices.shape[0] = 6; });
  check("m_sizes is on device 1", [](SwigluCall& c) { c.m_sizes.tensor.device.device_id = 1; });
}

namespace {

// 6 tokens, 2 choices, 4 experts of 8, 32 columns.
struct RouterCall {
  TestTensor hidden_states{{6, 32}, bf16};
  TestTensor weight{{8, 32}, bf16};
  TestTensor router_logits{{6, 8}, bf16};
  TestTensor selected_experts{{6, 2}, int32};
  TestTensor topk_weights{{6, 2}, bf16};
  TestTensor m_sizes{{4}, int32};
  TestTensor gather_indices{{12}, int32};
  TestTensor slot_rows{{12}, int32};
  moe_tune_router_args args{sizeof(args),
                            MOE_TUNE_SOFTMAX_NORM_TOPK,
                            2,
                            0,
                            &hidden_states.tensor,
                            &weight.tensor,
                            &router_logits.tensor,
                            &selected_experts.tensor,
                            &topk_weights.tensor,
                            &m_sizes.tensor,
                            &gather_indices.tensor,
                            &slot_rows.tensor,
                            nullptr,
                            nullptr};

  int run() const { return moe_tune_router(&args, nullptr); }
};

}  // namespace

TEST_CASE("C API router: errors") {
  RouterCall call;
  CHECK(call.run() != MOE_TUNE_OK);
  CHECK_THAT(moe_tune_last_error(), Contains("4096") || Contains("driver"));
  call.args.kind = 3;
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("moe_tune_router_kind"));
  call.args.kind = MOE_TUNE_SIGMOID;
  call.args.first_expert = 5;
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  call.args.first_expert = 2;
  call.selected_experts.tensor.dtype = int64;
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("selected_experts is not int32"));
  call.selected_experts.tensor.dtype = int32;
  call.weight.shape[1] = 24;
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("weight has shape (8, 24), not (8, 32)"));
  CHECK(moe_tune_router(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_router_workspace_bytes(&call.args, nullptr) == MOE_TUNE_USAGE_ERROR);
}

TEST_CASE("C API rows: unpermute_rows and act_and_mul, errors") {
  TestTensor rows({12, 32}, bf16);
  TestTensor out({12, 32}, bf16);
  TestTensor indices({12}, int32);
  moe_tune_unpermute_rows_args unpermute{sizeof(unpermute), 0, &rows.tensor, &out.tensor, &indices.tensor, nullptr};
  CHECK(moe_tune_unpermute_rows(&unpermute, nullptr) != MOE_TUNE_OK);
  CHECK_THAT(moe_tune_last_error(), Contains("4096") || Contains("driver"));
  unpermute.gather_indices = nullptr;
  CHECK(moe_tune_unpermute_rows(&unpermute, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("gather_indices is NULL"));
  TestTensor x({12, 64}, bf16);
  moe_tune_act_and_mul_args activate{sizeof(activate), 0, &x.tensor, &out.tensor, nullptr};
  CHECK(moe_tune_act_and_mul(&activate, nullptr) != MOE_TUNE_OK);
  x.shape[1] = 62;
  CHECK(moe_tune_act_and_mul(&activate, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("x has shape (12, 62), not (12, 64)"));
}
