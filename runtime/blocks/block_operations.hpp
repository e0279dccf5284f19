// The operations of a block on a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "moe_tune/moe_block.hpp"
#include "moe_tune/router_gradient.hpp"
#include "moe_tune/row_operations.hpp"
#include "runtime/blocks/block_shape.hpp"
#include "runtime/blocks/block_workspace.hpp"

namespace moe_tune {

/// Made once and run by any threads. Those of training are made by the first call that needs them.
class BlockOperations {
 public:
  /// `shape` and `options` outlive the object. Throws UsageError for a config of the options that cannot serve.
  BlockOperations(Library& library, const BlockShape& shape, const FusedBlockOptions& options, int device);

  Router& router() { return router_; }
  RowOperations& rows() { return rows_; }
  const GroupedGemm& gemm(BlockGemm gemm, BlockPass pass) const { return *gemms_[index(gemm, pass)]; }
  GroupedGemm& gemm(BlockGemm gemm, BlockPass pass) { return *gemms_[index(gemm, pass)]; }
  RouterGradient& router_gradient() { return *router_gradient_; }

  /// Whether training makes this, as dW_only and dX_only say.
  bool trains(BlockGemm gemm, BlockPass pass) const;
  /// What runs gradients is there when it returns. Throws UsageError without autotune where a config is missing.
  void require_training();

  OperationNeeds needs(std::int64_t tokens, BlockPass pass) const;

  void prepare(std::span<const std::int64_t> tokens);
  /// `accumulate` as in the arguments of a backward.
  void prepare_training(std::span<const std::int64_t> tokens, bool accumulate);

 private:
  static constexpr std::size_t passes = 5;
  static constexpr std::size_t index(BlockGemm gemm, BlockPass pass) {
    return static_cast<std::size_t>(gemm) * passes + static_cast<std::size_t>(pass);
  }

  void add(BlockGemm gemm, BlockPass pass);
  void add_training();
  std::span<const BlockGemm> gemms() const;
  /// The options' own for this GEMM.
  std::optional<KernelConfig> config(BlockGemm gemm, BlockPass pass) const;

  Library& library_;
  const BlockShape& shape_;
  const FusedBlockOptions& options_;
  int device_;
  Router router_;
  RowOperations rows_;
  std::once_flag training_;
  std::optional<RouterGradient> router_gradient_;
  std::array<std::optional<GroupedGemm>, 4 * passes> gemms_;
};

}  // namespace moe_tune
