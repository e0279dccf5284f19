// Where the operations of a block run: a stream of a GPU, or the emulated device. What a block does is written once, against
// this.
#pragma once

#include <cstddef>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/router.hpp"
#include "moe_tune/router_gradient.hpp"
#include "moe_tune/row_operations.hpp"
#include "runtime/blocks/block_shape.hpp"

namespace moe_tune {

/// Each call enqueues; operations run in order, but for those of a branch.
class BlockExecutor {
 public:
  virtual ~BlockExecutor() = default;

  virtual void route(const RouterArgs& args) = 0;
  virtual void route_gradient(const RouterGradientArgs& args) = 0;
  virtual void permute_rows(const PermuteRowsArgs& args) = 0;
  virtual void multiply(BlockGemm gemm, BlockPass pass, const GroupedGemmArgs& args) = 0;
  virtual void swiglu_gradient(const SwigluGradientArgs& args) = 0;
  virtual void combine_rows(const CombineRowsArgs& args) = 0;
  /// Stores an int32 on the device.
  virtual void store_word(void* address, int value) = 0;
  /// From device memory to device memory.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void clear(void* address, std::size_t bytes) = 0;

  /// What is enqueued between begin_branch() and end_branch() may run beside what follows, up to join_branch(). Once in a
  /// forward.
  virtual void begin_branch() = 0;
  virtual void end_branch() = 0;
  virtual void join_branch() = 0;
};

}  // namespace moe_tune
