// What a block's options make of a model.
#pragma once

#include "moe_tune/moe_block.hpp"
#include "runtime/blocks/block_shape.hpp"

namespace moe_tune {

/// Throws UsageError for experts that the model has not.
BlockShape make_shape(const ModelShape& config, DType dtype, const FusedBlockOptions& options);

/// Throws UsageError for options that contradict each other.
void require_consistent(const FusedBlockOptions& options);

}  // namespace moe_tune
