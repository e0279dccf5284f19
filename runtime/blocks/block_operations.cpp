#include "runtime/blocks/block_operations.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr BlockGemm all_gemms[] = {BlockGemm::gate_up, BlockGemm::down, BlockGemm::shared_gate_up, BlockGemm::shared_down};

}  // namespace

BlockOperations::BlockOperations(Library& library, const BlockShape& shape, const FusedBlockOptions& options, int device)
    : library_(library),
      shape_(shape),
      options_(options),
      device_(device),
      router_(library, router_problem(shape), device),
      rows_(library, device) {
  for (const BlockGemm gemm : gemms()) add(gemm, BlockPass::inference);
  // Configs that are given for gradients are checked now, not after a forward.
  if (options.kernel_config_bwd_dX.gate_up || options.kernel_config_bwd_dX.down || options.kernel_config_bwd_dW.gate_up ||
      options.kernel_config_bwd_dW.down) {
    require_training();
  }
}

std::span<const BlockGemm> BlockOperations::gemms() const {
  return std::span(all_gemms).first(shape_.has_shared_expert() ? 4 : 2);
}

std::optional<KernelConfig> BlockOperations::config(BlockGemm gemm, BlockPass pass) const {
  // Manual configs are made for many experts; what one dense expert wants is always looked up.
  if (is_shared(gemm)) return std::nullopt;
  const PerGemm& configs = pass == BlockPass::dX                                      ? options_.kernel_config_bwd_dX
                           : pass == BlockPass::dW || pass == BlockPass::dW_added ? options_.kernel_config_bwd_dW
                                                                                  : options_.kernel_config_fwd;
  return gemm == BlockGemm::gate_up ? configs.gate_up : configs.down;
}

void BlockOperations::add(BlockGemm gemm, BlockPass pass) {
  const std::optional<KernelConfig> kernel = config(gemm, pass);
  if (!kernel && !options_.autotune && !is_shared(gemm)) {
    throw UsageError(
        fmt::format("MoE block: without autotune a backward needs kernel_config_bwd_dX and kernel_config_bwd_dW, one config for both "
                    "GEMMs or one for each: there is none for {}; `moe-tune list-configs --op dX` has those that can serve",
                    describe(problem_of(shape_, gemm, pass))));
  }
  gemms_[index(gemm, pass)].emplace(library_, problem_of(shape_, gemm, pass), device_, kernel);
}

bool BlockOperations::trains(BlockGemm gemm, BlockPass pass) const {
  if (pass == BlockPass::dX) return !(place_of(gemm) == Gemm::gate_up && options_.dW_only);
  return pass == BlockPass::training || !options_.dX_only;
}

void BlockOperations::add_training() {
  for (const BlockGemm gemm : gemms()) {
    for (const BlockPass pass : {BlockPass::training, BlockPass::dX, BlockPass::dW, BlockPass::dW_added}) {
      if (trains(gemm, pass)) add(gemm, pass);
    }
  }
  router_gradient_.emplace(library_, router_problem(shape_), device_);
}

void BlockOperations::require_training() {
  std::call_once(training_, [this] { add_training(); });
}

OperationNeeds BlockOperations::needs(std::int64_t tokens, BlockPass pass) const {
  return {router_.workspace_bytes(tokens), gemm(BlockGemm::gate_up, pass).workspace_bytes(tokens)};
}

void BlockOperations::prepare(std::span<const std::int64_t> tokens) {
  router_.prepare();
  rows_.prepare();
  for (const BlockGemm which : gemms()) gemm(which, BlockPass::inference).prepare(tokens);
}

void BlockOperations::prepare_training(std::span<const std::int64_t> tokens, bool accumulate) {
  require_training();
  router_.prepare();
  rows_.prepare();
  router_gradient_->prepare();
  for (const BlockGemm which : gemms()) {
    for (const BlockPass pass : {BlockPass::training, BlockPass::dX, accumulate ? BlockPass::dW_added : BlockPass::dW}) {
      if (trains(which, pass)) gemm(which, pass).prepare(tokens);
    }
  }
}

}  // namespace moe_tune
