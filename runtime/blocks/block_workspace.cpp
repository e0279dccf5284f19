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

constexpr int index_bytes = 4;

BlockRouting cut_routing(Cutter& cutter, const BlockShape& shape, std::int64_t tokens) {
  const ModelShape& model = shape.model;
  const int element = element_bytes(shape.dtype);
  const std::int64_t M = checked_mul(tokens, model.top_k, "tokens * top_k");
  BlockRouting routing;
  routing.router_logits = cutter.take(checked_mul(tokens, model.E, "tokens * experts"), element);
  routing.selected_experts = cutter.take(M, index_bytes);
  routing.topk_weights = cutter.take(M, element);
  routing.m_sizes = cutter.take(shape.experts.count, index_bytes);
  routing.gather_indices = cutter.take(M, index_bytes);
  routing.slot_rows = cutter.take(M, index_bytes);
  routing.token_count = cutter.take(1, index_bytes);
  return routing;
}

std::int64_t elements(std::int64_t rows, std::int64_t columns) { return checked_mul(rows, columns, "workspace of a block"); }

}  // namespace

SavedForward::SavedForward(const BlockShape& shape, std::int64_t tokens, void* base) {
  const ModelShape& model = shape.model;
  const int element = element_bytes(shape.dtype);
  Cutter cutter(base);
  routing = cut_routing(cutter, shape, tokens);
  pre_activation = cutter.take(elements(tokens * model.top_k, std::int64_t{2} * model.I), element);
  if (shape.has_shared_expert())
    shared_pre_activation = cutter.take(elements(tokens, std::int64_t{2} * model.shared_expert_I), element);
  bytes = cutter.used();
}

ForwardWorkspace::ForwardWorkspace(const BlockShape& shape, std::int64_t tokens, const OperationNeeds& operations, void* base)
    : needs(operations) {
  const ModelShape& model = shape.model;
  const int element = element_bytes(shape.dtype);
  Cutter cutter(base);
  routing = cut_routing(cutter, shape, tokens);
  const std::int64_t M = tokens * model.top_k;
  router = cutter.take_bytes(static_cast<std::int64_t>(needs.router));
  activation = cutter.take(elements(M, model.I), element);
  // The first GEMM is done with its own when the second one stores.
  const std::int64_t second = checked_mul(elements(M, model.H), element, "workspace of a block");
  rows_bytes = std::max(static_cast<std::size_t>(second), needs.gate_up);
  rows = cutter.take_bytes(static_cast<std::int64_t>(rows_bytes));
  if (shape.has_shared_expert()) shared_activation = cutter.take(elements(tokens, model.shared_expert_I), element);
  bytes = cutter.used();
}

BackwardWorkspace::BackwardWorkspace(const BlockShape& shape, std::int64_t tokens, std::size_t router_needs, void* base)
    : router_bytes(router_needs) {
  const ModelShape& model = shape.model;
  const int element = element_bytes(shape.dtype);
  const std::int64_t M = checked_mul(tokens, model.top_k, "tokens * top_k");
  Cutter cutter(base);
  d_topk_weights = cutter.take(M, sizeof(float));
  router = cutter.take_bytes(static_cast<std::int64_t>(router_bytes));
  // The shared expert's turn comes when that of the others is over.
  activation = cutter.take(std::max(elements(M, model.I), elements(tokens, model.shared_expert_I)), element);
  rows = cutter.take(elements(M, model.H), element);
  bytes = cutter.used();
}

}  // namespace moe_tune
