// A block's operations on a GPU.
#pragma once

#include <cuda.h>

#include <array>
#include <memory>
#include <optional>

#include "runtime/blocks/block_executor.hpp"
#include "runtime/blocks/side_streams.hpp"

namespace moe_tune {

/// The operations of a block, made once.
struct BlockOperations {
  Router router;
  RowOperations rows;
  std::array<std::optional<GroupedGemm>, 4> gemms;  ///< by BlockGemm; of the shared expert where there is one

  GroupedGemm& gemm(BlockGemm which) { return *gemms[static_cast<std::size_t>(which)]; }
  const GroupedGemm& gemm(BlockGemm which) const { return *gemms[static_cast<std::size_t>(which)]; }
};

/// One forward on a stream; the device's context is current.
class GpuExecutor : public BlockExecutor {
 public:
  GpuExecutor(BlockOperations& operations, SideStreams& side_streams, CUstream stream)
      : operations_(operations), side_streams_(side_streams), stream_(stream), current_(stream) {}

  void route(const RouterArgs& args) override;
  void permute_rows(const PermuteRowsArgs& args) override;
  void multiply(BlockGemm gemm, const GroupedGemmArgs& args) override;
  void combine_rows(const CombineRowsArgs& args) override;
  void store_word(void* address, int value) override;
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
