// A block's operations on a GPU.
#pragma once

#include <cuda.h>

#include "runtime/blocks/block_executor.hpp"
#include "runtime/blocks/block_operations.hpp"
#include "runtime/blocks/side_streams.hpp"

namespace moe_tune {

/// One forward or backward on a stream; the device's context is current.
class GpuExecutor : public BlockExecutor {
 public:
  GpuExecutor(BlockOperations& operations, SideStreams& side_streams, CUstream stream)
      : operations_(operations), side_streams_(side_streams), stream_(stream), current_(stream) {}

  void route(const RouterArgs& args) override;
  void route_gradient(const RouterGradientArgs& args) override;
  void permute_rows(const PermuteRowsArgs& args) override;
  void multiply(BlockGemm gemm, BlockPass pass, const GroupedGemmArgs& args) override;
  void swiglu_gradient(const SwigluGradientArgs& args) override;
  void combine_rows(const CombineRowsArgs& args) override;
  void store_word(void* address, int value) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void clear(void* address, std::size_t bytes) override;
  void begin_branch() override;
  void end_branch() override;
  void join_branch() override;

 private:
  BlockOperations& operations_;
  SideStreams& side_streams_;
  CUstream stream_;
  CUstream current_;
  SideStreams::Lease branch_{nullptr, {nullptr}};
};

}  // namespace moe_tune
