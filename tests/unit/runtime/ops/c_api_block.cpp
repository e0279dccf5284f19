// The error paths of the blocks in the C API.
#include <catch2/catch.hpp>

#include <string>

#include "moe_tune/moe_tune.h"
#include "tests/support/environment_variable.hpp"
#include "tests/unit/runtime/ops/forward_call.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

const EnvironmentVariable no_databases("MOE_TUNE_MODE", "off");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

// 4 experts, hidden size 32, intermediate size 16, shared expert 24.
struct CreateCall {
  TestTensor gate{{4, 32}, bf16};
  TestTensor gate_up_proj{{4, 32, 32}, bf16};
  TestTensor down_proj{{4, 32, 16}, bf16};
  TestTensor shared_gate_up_proj{{48, 32}, bf16};
  TestTensor shared_down_proj{{32, 24}, bf16};
  moe_tune_config_forward config{sizeof(moe_tune_config_forward),
                                 16,
                                 64,
                                 32,
                                 2,
                                 1,
                                 2,
                                 2,
                                 0,
                                 MOE_TUNE_SM80,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0};
  moe_tune_block_options options{};
  moe_tune_block_args args{};
  moe_tune_block *block = nullptr;

  CreateCall() {
    options.struct_size = sizeof options;
    args.struct_size = sizeof args;
    args.model = MOE_TUNE_QWEN3;
    args.top_k = 2;
    args.norm_topk_prob = 1;
    args.gate = &gate.tensor;
    args.gate_up_proj = &gate_up_proj.tensor;
    args.down_proj = &down_proj.tensor;
    args.options = &options;
  }

  void llama4() {
    args.model = MOE_TUNE_LLAMA4;
    args.shared_gate_up_proj = &shared_gate_up_proj.tensor;
    args.shared_down_proj = &shared_down_proj.tensor;
  }

  int run() { return moe_tune_block_create(&args, &block); }
  std::string error() {
    CHECK(run() == MOE_TUNE_USAGE_ERROR);
    CHECK(block == nullptr);
    return moe_tune_last_error();
  }
};

} // namespace

TEST_CASE("C API blocks: a sound call gets as far as the device") {
  for (const bool llama4 : {false, true}) {
    CreateCall call;
    if (llama4)
      call.llama4();
    CHECK(call.run() != MOE_TUNE_OK);
    CHECK_THAT(moe_tune_last_error(), Contains("4096") || Contains("driver"));
  }
}

TEST_CASE("C API blocks: what is missing or of another size") {
  CreateCall call;
  CHECK(moe_tune_block_create(nullptr, &call.block) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_create(&call.args, nullptr) == MOE_TUNE_USAGE_ERROR);
  call.args.struct_size = 63;
  CHECK_THAT(call.error(), Contains("moe_tune_block_args"));
  call.args.struct_size = sizeof call.args;
  call.options.struct_size = 87;
  CHECK_THAT(call.error(), Contains("moe_tune_block_options"));
  call.options.struct_size = sizeof call.options;
  call.args.gate = nullptr;
  CHECK_THAT(call.error(), Contains("gate is NULL"));
  call.args.gate = &call.gate.tensor;
  call.args.model = 2;
  CHECK_THAT(call.error(), Contains("moe_tune_model"));
}

TEST_CASE("C API blocks: weights that do not fit each other") {
  {
    CreateCall call;
    call.gate_up_proj.shape[1] = 30;
    CHECK_THAT(call.error(),
               Contains("gate_up_proj has shape (4, 30, 32), not (4, 32, 32)"));
  }
  {
    CreateCall call;
    call.down_proj.tensor.dtype = fp16;
    CHECK_THAT(call.error(),
               Contains("down_proj is not of the block's dtype, bf16"));
  }
  {
    CreateCall call;
    call.gate_up_proj.strides[1] = 40;
    CHECK_THAT(call.error(), Contains("gate_up_proj is not contiguous"));
  }
  {
    CreateCall call;
    call.gate.tensor.dtype = float32;
    CHECK_THAT(call.error(), Contains("gate is neither bfloat16 nor float16"));
  }
  {
    CreateCall call;
    call.down_proj.tensor.device.device_id = 0;
    CHECK_THAT(call.error(), Contains("down_proj is on device 0, not 4096"));
  }
  {
    CreateCall call;
    call.llama4();
    call.args.shared_down_proj = nullptr;
    CHECK_THAT(call.error(), Contains("shared_down_proj is NULL"));
  }
  {
    CreateCall call;
    call.options.expert_count = 3;
    CHECK_THAT(call.error(), Contains("expert_count = 3"));
  }
}

TEST_CASE("C API blocks: options that are none") {
  CreateCall call;
  call.options.permute_x = 3;
  CHECK_THAT(call.error(), Contains("permute_x = 3 is no moe_tune_switch"));
  call.options.permute_x = MOE_TUNE_OFF;
  call.config.family = 7;
  call.options.config_fwd_down = &call.config;
  CHECK_THAT(call.error(), Contains("config_fwd_down->family = 7"));
}

TEST_CASE("C API blocks: options of before gradients were float32 still count") {
  CreateCall call;
  call.options.struct_size = 88;
  call.options.float32_dW = 1;  // beyond what the size says
  call.options.permute_x = 3;
  CHECK_THAT(call.error(), Contains("permute_x = 3 is no moe_tune_switch"));
  call.options.struct_size = 87;
  CHECK_THAT(call.error(), Contains("options->struct_size is 87, less than 88"));
}

TEST_CASE("C API blocks: calls without a block") {
  std::size_t bytes = 0;
  char text[16];
  const moe_tune_block_forward_args args{};
  CHECK(moe_tune_block_forward(nullptr, &args, nullptr) ==
        MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("block is NULL"));
  CHECK(moe_tune_block_workspace_bytes(nullptr, 1, &bytes) ==
        MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_prepare(nullptr, nullptr, 0) == MOE_TUNE_USAGE_ERROR);
  const moe_tune_block_backward_args backward{};
  CHECK(moe_tune_block_backward(nullptr, &backward, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_saved_bytes(nullptr, 1, &bytes) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_training_workspace_bytes(nullptr, 1, &bytes) == MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_prepare_training(nullptr, nullptr, 0, 0) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("block is NULL"));
  CHECK(moe_tune_block_explain(nullptr, 0, 1, text, sizeof text) ==
        MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_destroy(nullptr) == MOE_TUNE_OK);
  moe_tune_block *block = nullptr;
  CHECK(moe_tune_block_from_hf(nullptr, 0, 0, nullptr, &block) ==
        MOE_TUNE_USAGE_ERROR);
  CHECK(moe_tune_block_from_hf("/no/such/folder", 0, 0, nullptr, &block) !=
        MOE_TUNE_OK);
  CHECK_THAT(moe_tune_last_error(), Contains("/no/such/folder"));
  CHECK(block == nullptr);
}
