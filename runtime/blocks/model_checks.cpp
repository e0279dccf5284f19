#include "runtime/blocks/model_checks.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {

void require_qwen3(const ModelShape& config) {
  if (config.router == RouterKind::sigmoid || config.shared_expert_I != 0) {
    throw UsageError(fmt::format(
        "model {}: a Qwen3 block has a softmax router and no shared expert; for this one take the Llama4 block", config.name));
  }
}

void require_llama4(const ModelShape& config) {
  if (config.router != RouterKind::sigmoid) {
    throw UsageError(fmt::format("model {}: a Llama4 block has a sigmoid router, this one has {}; take the Qwen3 block",
                                 config.name, to_string(config.router)));
  }
}

}  // namespace moe_tune
