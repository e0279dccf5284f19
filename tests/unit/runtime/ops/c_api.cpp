// The error paths of the C API: each wrong argument is named, and nothing but a GPU's absence stops a right one.
#include "moe_tune/moe_tune.h"

#include <catch2/catch.hpp>

#include <climits>
#include <string>
#include <thread>

#include "tests/support/environment_variable.hpp"
#include "tests/unit/runtime/ops/forward_call.hpp"

using namespace moe_tune::test;
using Catch::Matchers::Contains;

namespace {

// The library that all calls share reads no files of the user's.
const EnvironmentVariable no_databases("MOE_TUNE_MODE", "off");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

/// That the call got as far as looking for its device.
void check_device_is_missing(int result) {
  const std::string message = moe_tune_last_error();
  INFO(message);
  if (result == MOE_TUNE_USAGE_ERROR) {
    CHECK_THAT(message, Contains("device 4096 does not exist"));
  } else {
    CHECK(result == MOE_TUNE_ENVIRONMENT_ERROR);
    CHECK_THAT(message, Contains("NVIDIA driver"));
  }
}

struct Mistake {
  const char* message;
  void (*make)(ForwardCall&);
};

const Mistake mistakes[] = {
    {"args->struct_size is 0", [](ForwardCall& c) { c.args.struct_size = 0; }},
    {"set it to sizeof(moe_tune_forward_args)", [](ForwardCall& c) { c.args.struct_size = 87; }},
    {"gemm = 2 is no moe_tune_gemm", [](ForwardCall& c) { c.args.gemm = 2; }},
    {"gemm = -1 is no moe_tune_gemm", [](ForwardCall& c) { c.args.gemm = -1; }},

    {"x is NULL", [](ForwardCall& c) { c.args.x = nullptr; }},
    {"w is NULL", [](ForwardCall& c) { c.args.w = nullptr; }},
    {"y is NULL", [](ForwardCall& c) { c.args.y = nullptr; }},
    {"m_sizes is NULL", [](ForwardCall& c) { c.args.m_sizes = nullptr; }},
    {"gather_indices is NULL", [](ForwardCall& c) { c.args.gather_indices = nullptr; }},
    {"topk_weights is NULL", [](ForwardCall& c) { c.down(), c.args.topk_weights = nullptr; }},

    {"x has 1 dimensions, not 2", [](ForwardCall& c) { c.x.tensor.ndim = 1; }},
    {"w has 2 dimensions, not 3", [](ForwardCall& c) { c.w.tensor.ndim = 2; }},
    {"y has 0 dimensions, not 2", [](ForwardCall& c) { c.y.tensor.ndim = 0; }},
    {"m_sizes has 2 dimensions, not 1", [](ForwardCall& c) { c.m_sizes.tensor.ndim = 2; }},
    {"gather_indices has -1 dimensions, not 1", [](ForwardCall& c) { c.gather_indices.tensor.ndim = -1; }},
    {"topk_weights has 3 dimensions, not 2", [](ForwardCall& c) { c.down(), c.topk_weights.tensor.ndim = 3; }},
    {"x has no shape", [](ForwardCall& c) { c.x.tensor.shape = nullptr; }},

    {"x is not on a CUDA device", [](ForwardCall& c) { c.x.tensor.device.device_type = kDLCPU; }},
    {"w is not on a CUDA device", [](ForwardCall& c) { c.w.tensor.device.device_type = kDLCUDAHost; }},
    {"y is not on a CUDA device", [](ForwardCall& c) { c.y.tensor.device.device_type = kDLCPU; }},
    {"m_sizes is not on a CUDA device", [](ForwardCall& c) { c.m_sizes.tensor.device.device_type = kDLCPU; }},
    {"gather_indices is not on a CUDA device", [](ForwardCall& c) { c.gather_indices.tensor.device.device_type = kDLCPU; }},
    {"topk_weights is not on a CUDA device", [](ForwardCall& c) { c.down(), c.topk_weights.tensor.device.device_type = kDLCPU; }},
    {"w is on device 0, not 4096", [](ForwardCall& c) { c.w.tensor.device.device_id = 0; }},
    {"gather_indices is on device 1, not 4096", [](ForwardCall& c) { c.gather_indices.tensor.device.device_id = 1; }},
    {"y is on device 4096, not 0", [](ForwardCall& c) { c.x.tensor.device.device_id = c.w.tensor.device.device_id = 0; }},

    {"x is neither bfloat16 nor float16", [](ForwardCall& c) { c.x.tensor.dtype = float32; }},
    {"x is neither bfloat16 nor float16", [](ForwardCall& c) { c.x.tensor.dtype.lanes = 2; }},
    {"w is neither bfloat16 nor float16", [](ForwardCall& c) { c.w.tensor.dtype = int16; }},
    {"x, w and y have different dtypes", [](ForwardCall& c) { c.w.tensor.dtype = fp16; }},
    {"x, w and y have different dtypes", [](ForwardCall& c) { c.y.tensor.dtype = fp16; }},
    {"m_sizes is neither int32 nor int64", [](ForwardCall& c) { c.m_sizes.tensor.dtype = int16; }},
    {"gather_indices is neither int32 nor int64", [](ForwardCall& c) { c.gather_indices.tensor.dtype = uint32; }},
    {"topk_weights is neither float32 nor of x's dtype", [](ForwardCall& c) { c.down(), c.topk_weights.tensor.dtype = fp16; }},
    {"topk_weights is neither", [](ForwardCall& c) { c.down(), c.topk_weights.tensor.dtype = float64; }},

    {"w has shape (-4, 16, 32): no size may be negative", [](ForwardCall& c) { c.w.shape[0] = -4; }},
    {"y has shape (12, -1): no size may be negative", [](ForwardCall& c) { c.y.shape[1] = -1; }},
    {"workspace has shape (-1): no size may be negative", [](ForwardCall& c) { c.fused(), c.workspace.shape[0] = -1; }},
    {"x has shape (5, 32), not (6, 32)", [](ForwardCall& c) { c.x.shape[0] = 5; }},
    {"x has shape (6, 40), not (6, 32)", [](ForwardCall& c) { c.x.shape[1] = 40; }},
    {"x has shape (6, 32), not (12, 32)", [](ForwardCall& c) { c.args.permute_x = 0; }},
    {"y has shape (12, 24), not (12, 16)", [](ForwardCall& c) { c.y.shape[1] = 24; }},
    {"m_sizes has shape (3), not (4)", [](ForwardCall& c) { c.m_sizes.shape[0] = 3; }},
    {"gather_indices has shape (6), not (12)", [](ForwardCall& c) { c.gather_indices.shape[0] = 6; }},
    {"topk_weights has shape (12, 2), not (6, 2)", [](ForwardCall& c) { c.down(), c.topk_weights.shape[0] = 12; }},
    {"topk_weights has shape (6), not (12)",
     [](ForwardCall& c) { c.down(), c.topk_weights.tensor.ndim = 1, c.topk_weights.strides[0] = 1; }},
    {"y has 11 rows, not a multiple of top_k = 2", [](ForwardCall& c) { c.y.shape[0] = 11; }},

    {"x has a last stride of 2, not 1", [](ForwardCall& c) { c.x.strides[1] = 2; }},
    {"w has a last stride of 16, not 1", [](ForwardCall& c) { c.w.strides[2] = 16; }},
    {"y has a last stride of -1, not 1", [](ForwardCall& c) { c.y.strides[1] = -1; }},
    {"m_sizes has a last stride of 0, not 1", [](ForwardCall& c) { c.m_sizes.strides[0] = 0; }},
    {"gather_indices has a last stride of 2, not 1", [](ForwardCall& c) { c.gather_indices.strides[0] = 2; }},
    {"x is expanded: dimension 0 has a stride of 0", [](ForwardCall& c) { c.x.strides[0] = 0; }},
    {"w is expanded: dimension 0 has a stride of 0", [](ForwardCall& c) { c.w.strides[0] = 0; }},
    {"w is expanded: dimension 1 has a stride of 0", [](ForwardCall& c) { c.w.strides[1] = 0; }},
    {"y is expanded: dimension 0 has a stride of 0", [](ForwardCall& c) { c.y.strides[0] = 0; }},
    {"topk_weights is not contiguous", [](ForwardCall& c) { c.down(), c.topk_weights.strides[0] = 4; }},
    {"topk_weights is expanded", [](ForwardCall& c) { c.down(), c.topk_weights.strides[0] = 0; }},

    {"top_k = 0 is outside [1, 64]", [](ForwardCall& c) { c.args.top_k = 0; }},
    {"top_k = -2 is outside", [](ForwardCall& c) { c.args.top_k = -2; }},
    {"permute_x and permute_y are never both set", [](ForwardCall& c) { c.args.permute_y = 1; }},
    {"fuse_mul_post needs permute_y", [](ForwardCall& c) { c.args.fuse_mul_post = 1; }},
    {"E = 0 is outside", [](ForwardCall& c) { c.w.shape[0] = 0; }},
    {"N = 20 is not a multiple of 8", [](ForwardCall& c) { c.w.shape[1] = 20; }},
    {"K = 4294967328 is out of range", [](ForwardCall& c) { c.w.shape[2] = (std::int64_t{1} << 32) + 32; }},

    {"pre_activation has shape (12, 8), not (12, 16)", [](ForwardCall& c) { c.fused(), c.pre_activation.shape[1] = 8; }},
    {"pre_activation is not of x's dtype", [](ForwardCall& c) { c.fused(), c.pre_activation.tensor.dtype = fp16; }},
    {"pre_activation is on device 0, not 4096", [](ForwardCall& c) { c.fused(), c.pre_activation.tensor.device.device_id = 0; }},
    {"keep_pre_activation needs fuse_swiglu", [](ForwardCall& c) { c.fused(), c.args.fuse_swiglu = 0; }},
    {"fuse_mul_pre needs permute_x", [](ForwardCall& c) { c.fused(), c.args.permute_x = 0; }},
    {"topk_weights is NULL", [](ForwardCall& c) { c.fused(), c.args.topk_weights = nullptr; }},
    {"y has shape (12, 16), not (12, 8)", [](ForwardCall& c) { c.fused(), c.y.shape[1] = 16; }},
    {"workspace is not on a CUDA device", [](ForwardCall& c) { c.fused(), c.workspace.tensor.device.device_type = kDLCPU; }},
    {"workspace has a last stride of 2", [](ForwardCall& c) { c.fused(), c.workspace.strides[0] = 2; }},
    {"workspace has 2 dimensions", [](ForwardCall& c) { c.fused(), c.workspace.tensor.ndim = 2; }},

    {"config->family = 2 is out of range", [](ForwardCall& c) { c.args.config = &c.config, c.config.family = 2; }},
    {"config->gather = 3 is out of range", [](ForwardCall& c) { c.args.config = &c.config, c.config.gather = 3; }},
    {"config->queue = -1 is out of range", [](ForwardCall& c) { c.args.config = &c.config, c.config.queue = -1; }},
    {"config->struct_size is 4", [](ForwardCall& c) { c.args.config = &c.config, c.config.struct_size = 4; }},
};

}  // namespace

TEST_CASE("Every mistake in the arguments of a forward call is a usage error that names what is wrong") {
  for (const auto& [message, make] : mistakes) {
    ForwardCall call;
    make(call);
    INFO(message);
    CHECK(moe_tune_grouped_gemm_forward(&call.args, nullptr) == MOE_TUNE_USAGE_ERROR);
    CHECK_THAT(moe_tune_last_error(), Contains(message));
    CHECK(moe_tune_prepare_forward(&call.args, nullptr, 0) == MOE_TUNE_USAGE_ERROR);
    CHECK_THAT(moe_tune_last_error(), Contains(message));
    char text[64];
    CHECK(moe_tune_explain_forward(&call.args, 1, text, sizeof text) == MOE_TUNE_USAGE_ERROR);
    CHECK_THAT(moe_tune_last_error(), Contains(message));
    size_t bytes = 0;
    CHECK(moe_tune_workspace_bytes_forward(&call.args, 1, &bytes) == MOE_TUNE_USAGE_ERROR);
    CHECK_THAT(moe_tune_last_error(), Contains(message));
  }
}

TEST_CASE("Arguments that are NULL are usage errors that name them") {
  ForwardCall call;
  char text[64];
  CHECK(moe_tune_grouped_gemm_forward(nullptr, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("args is NULL"));
  CHECK(moe_tune_prepare_forward(&call.args, nullptr, 3) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("tokens is NULL"));
  CHECK(moe_tune_explain_forward(&call.args, 1, nullptr, 64) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("text is NULL"));
  CHECK(moe_tune_explain_forward(&call.args, 1, text, 0) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("size 0"));
  CHECK(moe_tune_workspace_bytes_forward(&call.args, 1, nullptr) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("bytes is NULL"));
  CHECK(moe_tune_device_status(0, nullptr, 0) == MOE_TUNE_USAGE_ERROR);
  CHECK_THAT(moe_tune_last_error(), Contains("bits is NULL"));
}

TEST_CASE("A right call fails only because its device does not exist") {
  const auto [name, vary] = GENERATE(table<std::string, void (*)(ForwardCall&)>({
      {"as it is", [](ForwardCall&) {}},
      {"the second GEMM", [](ForwardCall& c) { c.down(); }},
      {"no permutation, and none of its tensors",
       [](ForwardCall& c) { c.args.permute_x = 0, c.x.shape[0] = 12, c.args.gather_indices = nullptr; }},
      {"flat weights",
       [](ForwardCall& c) {
         c.down(), c.topk_weights.tensor.ndim = 1, c.topk_weights.shape[0] = 12, c.topk_weights.strides[0] = 1;
       }},
      {"weights of x's dtype", [](ForwardCall& c) { c.down(), c.topk_weights.tensor.dtype = bf16; }},
      {"float16", [](ForwardCall& c) { c.x.tensor.dtype = c.w.tensor.dtype = c.y.tensor.dtype = fp16; }},
      {"without strides", [](ForwardCall& c) { c.x.tensor.strides = c.w.tensor.strides = c.m_sizes.tensor.strides = nullptr; }},
      {"strided rows and experts", [](ForwardCall& c) { c.x.strides[0] = 64, c.w.strides[0] = 2048, c.w.strides[1] = 64; }},
      {"no tokens", [](ForwardCall& c) { c.x.shape[0] = c.y.shape[0] = c.gather_indices.shape[0] = 0; }},
      {"one expert, whose stride says nothing",
       [](ForwardCall& c) { c.w.shape[0] = c.m_sizes.shape[0] = 1, c.w.strides[0] = 0; }},
      {"a caller with a longer struct", [](ForwardCall& c) { c.args.struct_size += 64; }},
      {"all fusions of the first GEMM", [](ForwardCall& c) { c.fused(); }},
      {"a caller from before the fusions, with anything behind its structs",
       [](ForwardCall& c) {
         c.fused();
         c.args.struct_size = 88;
         c.y.shape[1] = c.y.strides[0] = 16;
         c.args.config = &c.config;
         c.config.struct_size = 36;
         c.config.family = 77;
       }},
      {"a config of sm90",
       [](ForwardCall& c) {
         c.args.config = &c.config;
         c.config = {sizeof c.config, 192, 128, 64, 12, 0, 4, 1, 0, MOE_TUNE_SM90, 1, 1, 2, 1, 0};
       }},
      {"a config", [](ForwardCall& c) { c.args.config = &c.config; }},
      {"a config without warps_m", [](ForwardCall& c) { c.args.config = &c.config, c.config.warps_m = 0; }},
      {"a config of absurd numbers",
       [](ForwardCall& c) { c.args.config = &c.config, c.config.warps = INT_MAX, c.config.warps_m = 0; }},
  }));
  INFO(name);
  ForwardCall call;
  vary(call);
  check_device_is_missing(moe_tune_grouped_gemm_forward(&call.args, nullptr));
  const std::int64_t tokens[] = {1, 16};
  check_device_is_missing(moe_tune_prepare_forward(&call.args, tokens, 2));
  char text[64] = "untouched";
  check_device_is_missing(moe_tune_explain_forward(&call.args, 16, text, sizeof text));
  CHECK(std::string(text) == "untouched");
}

TEST_CASE("The status of a device that does not exist is an error, and bits stay as they were") {
  std::uint32_t bits = 77;
  check_device_is_missing(moe_tune_device_status(absent_device, &bits, 1));
  CHECK(bits == 77);
  CHECK(moe_tune_device_status(-1, &bits, 0) != MOE_TUNE_OK);
}

TEST_CASE("Every thread has its own last error") {
  moe_tune_grouped_gemm_forward(nullptr, nullptr);
  std::string before;
  std::string after;
  std::thread([&] {
    before = moe_tune_last_error();
    moe_tune_device_status(0, nullptr, 0);
    after = moe_tune_last_error();
  }).join();
  CHECK(before.empty());
  CHECK_THAT(after, Contains("bits is NULL"));
  CHECK_THAT(moe_tune_last_error(), Contains("args is NULL"));
}

TEST_CASE("The version is the project's") { CHECK(std::string(moe_tune_version()) == MOE_TUNE_PROJECT_VERSION); }
