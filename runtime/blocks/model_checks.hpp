// Which models a class of blocks is for.
#pragma once

#include "moe_tune/model_shape.hpp"

namespace moe_tune {

/// Throw UsageError for a model of the other kind.
void require_qwen3(const ModelShape& config);
void require_llama4(const ModelShape& config);

}  // namespace moe_tune
