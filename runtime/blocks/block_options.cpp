#include "runtime/blocks/block_options.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

/// The experts of this process as a range that has a count.
ExpertRange resolved(const ExpertRange& experts, int of) {
  const int count = experts.count == 0 ? of - experts.first : experts.count;
  if (experts.first < 0 || count < 1 || experts.first > of - count) {
    throw UsageError(fmt::format("MoE block: experts [{}, {}) are not within the model's {}", experts.first,
                                 std::int64_t{experts.first} + count, of));
  }
  return {experts.first, count};
}

}  // namespace

BlockShape make_shape(const ModelShape& config, DType dtype, const FusedBlockOptions& options) {
  BlockShape shape;
  shape.model = config;
  if (!options.shared_expert) shape.model.shared_expert_I = 0;
  shape.dtype = dtype;
  shape.experts = resolved(options.experts, config.E);
  shape.permute_x = options.permute_x.value_or(!shape.scales_input());
  shape.permute_y = options.permute_y;
  shape.overlap_router_shared = options.overlap_router_shared;
  shape.float32_dw = options.float32_dW;
  return shape;
}

void require_consistent(const FusedBlockOptions& options) {
  if (options.dW_only && options.dX_only)
    throw UsageError("MoE block: dW_only and dX_only together leave no gradient: set one of them, or none");
  if (options.autotune) return;
  if (!options.kernel_config_fwd.gate_up || !options.kernel_config_fwd.down) {
    throw UsageError(
        "MoE block: without autotune kernel_config_fwd is required, one config for both GEMMs or one for each; "
        "`moe-tune list-configs` has those that can serve");
  }
}

}  // namespace moe_tune
