// A complete call of the C API that tests then spoil.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/moe_tune.h"

namespace moe_tune::test {

/// No machine has that many GPUs: a call for this device is checked in full and never launches.
inline constexpr int absent_device = 4096;

inline constexpr DLDataType bf16{kDLBfloat, 16, 1};
inline constexpr DLDataType fp16{kDLFloat, 16, 1};
inline constexpr DLDataType float32{kDLFloat, 32, 1};
inline constexpr DLDataType float64{kDLFloat, 64, 1};
inline constexpr DLDataType int16{kDLInt, 16, 1};
inline constexpr DLDataType int32{kDLInt, 32, 1};
inline constexpr DLDataType int64{kDLInt, 64, 1};
inline constexpr DLDataType uint32{kDLUInt, 32, 1};

/// A contiguous DLTensor and the arrays that it points to. Its data is never read.
class TestTensor {
 public:
  TestTensor(std::vector<std::int64_t> sizes, DLDataType type) : shape(std::move(sizes)), strides(shape.size(), 1) {
    for (std::size_t i = shape.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * shape[i];
    tensor = {memory, {kDLCUDA, absent_device}, static_cast<int32_t>(shape.size()), type, shape.data(), strides.data(), 0};
  }
  TestTensor(const TestTensor&) = delete;
  TestTensor& operator=(const TestTensor&) = delete;

  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  DLTensor tensor;

 private:
  alignas(256) inline static unsigned char memory[256];
};

/// The first GEMM of a block, permute_x: 6 tokens, 2 choices, 4 experts, N = 16, K = 32. down() turns it into the second.
struct ForwardCall {
  TestTensor x{{6, 32}, bf16};
  TestTensor w{{4, 16, 32}, bf16};
  TestTensor y{{12, 16}, bf16};
  TestTensor m_sizes{{4}, int32};
  TestTensor gather_indices{{12}, int64};
  TestTensor topk_weights{{6, 2}, float32};
  TestTensor pre_activation{{12, 16}, bf16};
  TestTensor workspace{{1000}, int32};
  moe_tune_config_forward config{sizeof(moe_tune_config_forward), 16, 64, 32, 2, 1, 2, 2, 0, MOE_TUNE_SM80, 0, 0, 0, 0, 0};
  moe_tune_forward_args args{};

  ForwardCall() {
    args.struct_size = sizeof(moe_tune_forward_args);
    args.gemm = MOE_TUNE_GATE_UP;
    args.x = &x.tensor;
    args.w = &w.tensor;
    args.y = &y.tensor;
    args.m_sizes = &m_sizes.tensor;
    args.gather_indices = &gather_indices.tensor;
    args.top_k = 2;
    args.permute_x = 1;
  }

  void down() {
    args.gemm = MOE_TUNE_DOWN;
    args.permute_x = 0;
    args.permute_y = 1;
    args.fuse_mul_post = 1;
    args.topk_weights = &topk_weights.tensor;
    x.shape[0] = 12;
  }

  /// The first GEMM with all that can be fused into it.
  void fused() {
    args.fuse_mul_pre = args.fuse_swiglu = 1;
    args.topk_weights = &topk_weights.tensor;
    args.pre_activation = &pre_activation.tensor;
    args.workspace = &workspace.tensor;
    y.shape[1] = 8;
    y.strides[0] = 8;
  }
};

}  // namespace moe_tune::test
