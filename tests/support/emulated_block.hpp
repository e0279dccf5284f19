// A fused block on the emulated device: the forward that GPUs run, with every kernel emitted and built for the host.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "generator/templates.hpp"
#include "runtime/blocks/block_forward.hpp"
#include "runtime/emulator/gemm_kernel.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/emulator/router_kernel.hpp"
#include "runtime/launch/router_plan.hpp"
#include "runtime/ops/gemm_arguments.hpp"
#include "runtime/ops/router_arguments.hpp"
#include "runtime/ops/row_arguments.hpp"
#include "tests/support/block_case.hpp"

namespace moe_tune::test {

/// What a block's GEMMs are run with.
struct BlockConfigs {
  KernelConfig gate_up;
  KernelConfig down;
};

class EmulatedExecutor : public BlockExecutor {
 public:
  EmulatedExecutor(const BlockShape& shape, const BlockConfigs& configs, emulator::GlobalMemory& memory, std::uint64_t seed)
      : shape_(shape), configs_(configs), memory_(memory), seed_(seed), status_(&word("status")), queue_(&word("queue")) {}

  unsigned status() const { return status_->as<unsigned>()[0]; }

  OperationNeeds needs(std::int64_t tokens) const {
    const Problem gate_up = problem_of(shape_, BlockGemm::gate_up);
    return {router_workspace_bytes(router_problem(shape_), tokens),
            workspace_bytes(gate_up, configs_.gate_up, tokens * gate_up.top_k)};
  }

  void route(const RouterArgs& args) override {
    const RouterProblem problem = router_problem(shape_);
    abi::RouterArgs converted = convert(problem, args);
    converted.status = static_cast<unsigned*>(status_->get());
    router_of(problem).launch(memory_, converted, seed_++);
  }

  void permute_rows(const PermuteRowsArgs& args) override {
    abi::PermuteRowsArgs converted = convert(args);
    run_rows(args.topk_weights == nullptr ? "moe_tune_permute_rows" : typed("moe_tune_permute_scaled_rows_"), converted);
  }

  void combine_rows(const CombineRowsArgs& args) override {
    abi::CombineRowsArgs converted = convert(args);
    run_rows(typed("moe_tune_combine_rows_"), converted);
  }

  void multiply(BlockGemm gemm, const GroupedGemmArgs& args) override {
    const Problem problem = problem_of(shape_, gemm);
    const bool first = gemm == BlockGemm::gate_up || gemm == BlockGemm::shared_gate_up;
    KernelConfig config = first ? configs_.gate_up : configs_.down;
    if (!problem.permute_x) config.gather = Gather::dispatch;  // there is nothing to gather
    const emulator::GemmKernel& kernel = kernel_of(problem, config);
    kernel.launch(memory_, convert(problem, args, static_cast<unsigned*>(status_->get())),
                  {args.workspace, static_cast<unsigned*>(queue_->get())}, seed_++);
  }

  void store_word(void* address, int value) override {
    const auto at = reinterpret_cast<std::uint64_t>(address);
    const emulator::Allocation& memory = *memory_.find(at);
    std::memcpy(memory.data + (at - memory.address), &value, sizeof value);
  }

  // Kernels run one after the other here, in the order in which they are enqueued.
  void begin_branch() override {}
  void end_branch() override {}
  void join_branch() override {}

 private:
  emulator::Allocation& word(const char* name) { return memory_.allocate(name, sizeof(unsigned), emulator::Use::read_write); }
  std::string typed(const char* name) const { return name + std::string(to_string(shape_.dtype)); }

  /// Few blocks: each walks over several rows.
  template <class Args>
  void run_rows(const std::string& name, Args& args) {
    static const emulator::Kernel kernel(inline_template("kernels/row_operations.cuh"));
    args.gemm.status = static_cast<unsigned*>(status_->get());
    const emulator::Launch launch{.blocks = 2, .threads = abi::row_operation_threads, .seed = seed_++};
    emulator::run(memory_, launch, kernel, name.c_str(), args);
  }

  // Kernels are built once for all tests.

  static const emulator::RouterKernel& router_of(const RouterProblem& problem) {
    static std::map<std::string, std::unique_ptr<emulator::RouterKernel>> routers;
    auto& router = routers[describe(problem)];
    if (!router) router = std::make_unique<emulator::RouterKernel>(problem);
    return *router;
  }

  static const emulator::GemmKernel& kernel_of(const Problem& problem, const KernelConfig& config) {
    static std::map<std::pair<Problem, KernelConfig>, std::unique_ptr<emulator::GemmKernel>> kernels;
    auto& kernel = kernels[{problem, config}];
    if (!kernel) kernel = std::make_unique<emulator::GemmKernel>(problem, config);
    return *kernel;
  }

  const BlockShape& shape_;
  const BlockConfigs& configs_;
  emulator::GlobalMemory& memory_;
  std::uint64_t seed_;
  emulator::Allocation* status_;
  emulator::Allocation* queue_;
};

}  // namespace moe_tune::test
