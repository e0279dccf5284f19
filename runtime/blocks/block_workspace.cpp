#include "runtime/blocks/block_workspace.hpp"

#include <algorithm>

#include "generator/support/checked.hpp"

namespace moe_tune {

namespace {

/// Cuts one piece of memory into parts.
class Cutter {
 public:
  explicit Cutter(void* base) : base_(static_cast<std::byte*>(base)) {}

  /// `count` elements of `element` bytes.
  void* take(std::int64_t count, std::int64_t element) { return take_bytes(checked_mul(count, element, "workspace of a block")); }

  void* take_bytes(std::int64_t bytes) {
    void* const part = base_ == nullptr ? nullptr : base_ + used_;
    const std::int64_t rounded = checked_add(bytes, alignment - 1, "workspace of a block") / alignment * alignment;
    used_ = checked_add(used_, rounded, "workspace of a block");
    return part;
  }

  std::size_t used() const { return static_cast<std::size_t>(used_); }

 private:
  static constexpr std::int64_t alignment = 256;

  std::byte* base_;
  std::int64_t used_ = 0;
};

}  // namespace

BlockWorkspace::BlockWorkspace(const BlockShape& shape, std::int64_t tokens, const OperationNeeds& operations, void* base)
    : needs(operations) {
  constexpr int index = 4;
  const ModelShape& model = shape.model;
  const int element = element_bytes(shape.dtype);
  const std::int64_t M = checked_mul(tokens, model.top_k, "tokens * top_k");
  Cutter cutter(base);
  router_logits = cutter.take(checked_mul(tokens, model.E, "tokens * experts"), element);
  selected_experts = cutter.take(M, index);
  topk_weights = cutter.take(M, element);
  m_sizes = cutter.take(shape.experts.count, index);
  gather_indices = cutter.take(M, index);
  slot_rows = cutter.take(M, index);
  token_count = cutter.take(1, index);
  router = cutter.take_bytes(static_cast<std::int64_t>(needs.router));
  activation = cutter.take(checked_mul(M, model.I, "rows * intermediate size"), element);
  // The first GEMM is done with its own when the second one stores.
  const std::int64_t second = checked_mul(checked_mul(M, model.H, "rows * hidden size"), element, "workspace of a block");
  rows_bytes = std::max(static_cast<std::size_t>(second), needs.gate_up);
  rows = cutter.take_bytes(static_cast<std::int64_t>(rows_bytes));
  if (shape.has_shared_expert())
    shared_activation = cutter.take(checked_mul(tokens, model.shared_expert_I, "tokens * intermediate size"), element);
  bytes = cutter.used();
}

}  // namespace moe_tune
