// The steps that a reference block takes on a GPU: each is a kernel on the default stream that makes a tensor.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "moe_tune/moe_reference.hpp"
#include "moe_tune/row_operations.hpp"
#include "runtime/blocks/block_shape.hpp"
#include "runtime/jit/device.hpp"

namespace moe_tune {

/// Rows in expert order, on the device.
struct ExpertRows {
  const void* m_sizes = nullptr;  ///< (experts) int32
  int experts = 0;
  std::int64_t tokens = 0;
};

/// What the forward and the backward have in common. The caller waits before memory of a step goes.
class GpuSteps {
 public:
  /// All experts, nothing fused.
  GpuSteps(const ModelShape& config, TensorType type, int device);

  const BlockShape& shape() const { return shape_; }
  const PrimaryContext& context() const { return context_; }
  TensorType type() const { return type_; }
  int device() const { return device_; }

  OwnedTensor tensor(std::vector<std::int64_t> shape) const { return {type_, std::move(shape), device_}; }
  OwnedTensor indices(std::vector<std::int64_t> shape) const { return {TensorType::int32, std::move(shape), device_}; }
  /// How many rows the shared expert has, as a tensor.
  OwnedTensor count_of_all(std::int64_t tokens) const;

  /// A GEMM of the block, or a gradient of it; rows in expert order.
  GroupedGemm gemm(BlockGemm which, Op op = Op::forward) const;
  /// x . W^T, (M, N).
  OwnedTensor product(GroupedGemm& gemm, const void* x, const void* w, std::int64_t M, std::int64_t N,
                      const ExpertRows& rows) const;
  /// dY . W, (M, K), of the rows that went into a product.
  OwnedTensor gradient_of_rows(GroupedGemm& gemm, const void* dy, const void* w, std::int64_t M, std::int64_t K,
                               const ExpertRows& rows) const;
  /// dY^T . X of each expert, of the weights, which are of this shape.
  OwnedTensor gradient_of_weights(GroupedGemm& gemm, const void* dy, const void* x, std::vector<std::int64_t> shape,
                                  const ExpertRows& rows) const;

  /// `x` (tokens, H) by token as rows of the routed experts; with topk_weights scaled and rounded.
  OwnedTensor permuted(const void* x, const GroupedGemmResult& routing, const void* topk_weights);
  /// The way back, to slots. A slot whose expert does not exist has no row: zeros.
  OwnedTensor unpermuted(const OwnedTensor& rows, const GroupedGemmResult& routing);
  OwnedTensor activated(const OwnedTensor& x, const ExpertRows& rows);
  OwnedTensor gradient_of_activated(const OwnedTensor& d_activation, const OwnedTensor& x, const ExpertRows& rows);
  /// The sum over the slots of each token, weighted, after `addend`; both may be null.
  OwnedTensor combined(const OwnedTensor& slots, int top_k, const void* topk_weights, const void* addend = nullptr);

 private:
  TensorType type_;
  int device_;
  BlockShape shape_;
  PrimaryContext context_;
  RowOperations rows_;
};

}  // namespace moe_tune
