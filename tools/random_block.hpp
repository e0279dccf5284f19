// A fused block with random weights on a GPU, and calls of it on random data.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "moe_tune/moe_block.hpp"
#include "runtime/launch/device_memory.hpp"
#include "runtime/launch/utility_kernels.hpp"
#include "tools/bench_block.hpp"

namespace moe_tune::cli {

/// The arguments of a forward, and of a training's of its backward too, with all their memory.
struct BlockCall {
  MoeForwardArgs forward;
  MoeBackwardArgs backward;
  std::vector<DeviceBuffer> memory;
};

/// Keeps what it is given by reference. Gradients of the weights have memory of their own, the same in all calls.
class RandomBlock {
 public:
  RandomBlock(const BlockBench& options, Library& library, const UtilityKernels& utility, CUstream stream);

  FusedMoeBlock& block() { return *block_; }
  /// Compiles and loads what the call needs. It runs on any stream that waits for the one given first.
  BlockCall call(int tokens);
  /// The config of a GEMM of such a call.
  KernelConfig config(Op op, Gemm gemm, int tokens);

 private:
  DeviceBuffer random(const std::vector<std::int64_t>& shape, double scale);
  /// Random, scaled by the number of its inputs, with memory for its gradient if there is a backward.
  void add_weight(const void*& weight, void*& gradient, const std::vector<std::int64_t>& shape);

  const BlockBench& options_;
  const UtilityKernels& utility_;
  CUstream stream_;
  std::uint32_t filled_ = 0;
  std::vector<DeviceBuffer> buffers_;
  MoeWeightGradients gradients_;
  std::unique_ptr<FusedMoeBlock> block_;
};

}  // namespace moe_tune::cli
