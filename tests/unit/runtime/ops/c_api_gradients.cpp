// The error paths of the gradients in the C API.
#include <catch2/catch.hpp>

#include <cstddef>
#include <string>
#include <utility>

#include "moe_tune/moe_tune.h"
#include "tests/support/environment_variable.hpp"
#include "tests/unit/runtime/ops/forward_call.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

const EnvironmentVariable no_databases("MOE_TUNE_MODE", "off");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

/// A gradient of the first GEMM of a block: 6 tokens, 2 choices, 4 experts, N = 16, K = 32.
struct GradientCall {
  TestTensor dy{{12, 16}, bf16};
  TestTensor x{{6, 32}, bf16};
  TestTensor w{{4, 16, 32}, bf16};  // or dw
  TestTensor dx{{12, 32}, bf16};
  TestTensor m_sizes{{4}, int32};
  TestTensor gather_indices{{12}, int64};
  moe_tune_backward_args args{};
  bool by_weights;

  explicit GradientCall(bool of_weights) : by_weights(of_weights) {
    args.struct_size = sizeof(moe_tune_backward_args);
    args.gemm = MOE_TUNE_GATE_UP;
    args.dy = &dy.tensor;
    (by_weights ? args.x : args.dx) = by_weights ? &x.tensor : &dx.tensor;
    (by_weights ? args.dw : args.w) = &w.tensor;
    args.m_sizes = &m_sizes.tensor;
    args.gather_indices = &gather_indices.tensor;
    args.top_k = 2;
    args.permute_x = 1;
  }

  int run() const {
    return by_weights ? moe_tune_grouped_gemm_backward_dW(&args, nullptr) : moe_tune_grouped_gemm_backward_dX(&args, nullptr);
  }
};

void check_mistake(GradientCall& call, const char* message) {
  CHECK(call.run() == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains(message));
}

}  // namespace

TEST_CASE("C API: a right gradient gets as far as looking for its device") {
  for (const bool by_weights : {false, true}) {
    for (const bool second : {false, true}) {
      GradientCall call(by_weights);
      if (second) {
        call.args.permute_x = 0;
        call.args.permute_y = 1;
        call.x.shape[0] = 12;
      }
      const int result = call.run();
      const std::string message = moe_tune_last_error();
      INFO(message);
      CHECK((result == MOE_TUNE_ENVIRONMENT_ERROR || message.find("device 4096 does not exist") != std::string::npos));
      std::size_t bytes = 0;
      const auto workspace = by_weights ? moe_tune_workspace_bytes_backward_dW : moe_tune_workspace_bytes_backward_dX;
      CHECK(workspace(&call.args, 6, &bytes) == result);
      CHECK(workspace(&call.args, 6, nullptr) == MOE_TUNE_USAGE_ERROR);
    }
  }
}

TEST_CASE("C API: dW is float32 where dw is, and accumulates where it is told to") {
  const auto outcome = [](const GradientCall& call) {
    const int result = call.run();
    return std::pair(result, std::string(moe_tune_last_error()));
  };
  const GradientCall plain(true);
  const auto expected = outcome(plain);
  GradientCall float32_dw(true);
  float32_dw.w.tensor.dtype = float32;
  CHECK(outcome(float32_dw) == expected);
  GradientCall accumulate(true);
  accumulate.args.accumulate = 1;
  CHECK(outcome(accumulate) == expected);
  // A caller from before the field, with anything behind its struct.
  GradientCall older(true);
  older.args.struct_size = offsetof(moe_tune_backward_args, accumulate);
  older.args.accumulate = 1;
  CHECK(outcome(older) == expected);

  GradientCall by_x(false);
  by_x.args.accumulate = 1;
  check_mistake(by_x, "accumulate belongs to dW, not to dX");
  by_x.args.struct_size = offsetof(moe_tune_backward_args, accumulate);
  CHECK(outcome(by_x) == expected);
  GradientCall float32_w(false);
  float32_w.w.tensor.dtype = float32;
  check_mistake(float32_w, "w is neither bfloat16 nor float16");
}

TEST_CASE("C API: each wrong argument of a gradient is named") {
  for (const bool by_weights : {false, true}) {
    const auto check = [&](const char* message, void (*make)(GradientCall&)) {
      GradientCall call(by_weights);
      make(call);
      check_mistake(call, message);
    };
    check("set it to sizeof(moe_tune_backward_args)", [](GradientCall& c) { c.args.struct_size = 8; });
    check("gemm = 7 is no moe_tune_gemm", [](GradientCall& c) { c.args.gemm = 7; });
    check("dy is NULL", [](GradientCall& c) { c.args.dy = nullptr; });
    check(by_weights ? "x is NULL" : "dx is NULL", [](GradientCall& c) { c.args.x = c.args.dx = nullptr; });
    check(by_weights ? "dw is NULL" : "w is NULL", [](GradientCall& c) { c.args.w = c.args.dw = nullptr; });
    check("m_sizes is NULL", [](GradientCall& c) { c.args.m_sizes = nullptr; });
    check("gather_indices is NULL", [](GradientCall& c) { c.args.gather_indices = nullptr; });
    check("dy is neither bfloat16 nor float16", [](GradientCall& c) { c.dy.tensor.dtype = float32; });
    check(by_weights ? "dw is neither bfloat16 nor float16" : "w is neither bfloat16 nor float16",
          [](GradientCall& c) { c.w.tensor.dtype = int32; });
    check("have different dtypes", [](GradientCall& c) { c.w.tensor.dtype = fp16; });
    check("have different dtypes", [](GradientCall& c) { c.x.tensor.dtype = c.dx.tensor.dtype = fp16; });
    check("dy has shape (12, 8), not (12, 16)", [](GradientCall& c) { c.dy.shape[1] = 8; });
    check("dy has 11 rows, not a multiple of top_k = 2", [](GradientCall& c) { c.dy.shape[0] = 11; });
    check(by_weights ? "x has shape (5, 32), not (6, 32)" : "dx has shape (5, 32), not (12, 32)",
          [](GradientCall& c) { c.x.shape[0] = c.dx.shape[0] = 5; });
    check("m_sizes has shape (5), not (4)", [](GradientCall& c) { c.m_sizes.shape[0] = 5; });
    check("is on device 1", [](GradientCall& c) { c.w.tensor.device.device_id = 1; });
  }
  CHECK(moe_tune_grouped_gemm_backward_dX(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_prepare_backward_dW(nullptr, nullptr, 0) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_explain_backward_dX(nullptr, 1, nullptr, 0) == MOE_TUNE_USAGE_ERROR);
}
