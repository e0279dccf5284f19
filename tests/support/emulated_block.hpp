// A fused block on the emulated device: what GPUs run, with every kernel emitted and built for the host.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "generator/constraints.hpp"
#include "generator/templates.hpp"
#include "runtime/blocks/block_executor.hpp"
#include "runtime/blocks/block_workspace.hpp"
#include "runtime/emulator/gemm_kernel.hpp"
#include "runtime/emulator/launch.hpp"
#include "runtime/emulator/router_gradient_kernel.hpp"
#include "runtime/emulator/router_kernel.hpp"
#include "runtime/launch/router_gradient_plan.hpp"
#include "runtime/launch/router_plan.hpp"
#include "runtime/ops/gemm_arguments.hpp"
#include "runtime/ops/router_arguments.hpp"
#include "runtime/ops/router_gradient_arguments.hpp"
#include "runtime/ops/row_arguments.hpp"
#include "tests/support/block_case.hpp"

namespace moe_tune::test {

/// The config that serves a block's GEMM, of either family: which, `number` says.
inline KernelConfig emulated_config(const Problem& problem, std::uint64_t number) {
  static const std::vector<std::string> names = {
      "sm80_64x128x64_w4m2_s4_c2_mfast",
      "sm90_16x64x64_weights_coop_w8_s4_c2_x1_static_mfast_dispatch",
      "sm90_96x128x64_weights_pingpong_w12_s5_c1_x1_queue_mfast_inkernel",
      "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead",
  };
  static const std::vector<std::string> weights_names = {
      "sm90_128x192x64_tokens_pingpong_w12_s4_c1_x1_queue_mfast_dispatch",
      "sm80_64x128x64_w4m2_s4_c2_mfast",
  };
  const auto& all = problem.op == Op::dW ? weights_names : names;
  for (std::size_t i = 0; i < all.size(); ++i) {
    KernelConfig config = parse_config(all[(number + i) % all.size()]);
    if (!problem.permute_x) config.gather = Gather::dispatch;  // there is nothing to gather
    if (!reject(problem, config)) return config;
  }
  throw UsageError("no config serves " + describe(problem));
}

class EmulatedExecutor : public BlockExecutor {
 public:
  /// `seed`: of the schedules, and of which configs run.
  EmulatedExecutor(const BlockShape& shape, emulator::GlobalMemory& memory, std::uint64_t seed)
      : shape_(shape), memory_(memory), number_(seed), seed_(seed), status_(&word("status")), queue_(&word("queue")) {}

  unsigned status() const { return status_->as<unsigned>()[0]; }

  OperationNeeds needs(std::int64_t tokens, BlockPass pass) const {
    const Problem gate_up = problem_of(shape_, BlockGemm::gate_up, pass);
    return {router_workspace_bytes(router_problem(shape_), tokens),
            workspace_bytes(gate_up, emulated_config(gate_up, number_), tokens * gate_up.top_k)};
  }
  std::size_t router_gradient_needs(std::int64_t tokens) const {
    return RouterGradientWorkspace(router_problem(shape_), tokens).bytes();
  }

  void route(const RouterArgs& args) override {
    const RouterProblem problem = router_problem(shape_);
    abi::RouterArgs converted = convert(problem, args);
    converted.status = static_cast<unsigned*>(status_->get());
    kernel_for<emulator::RouterKernel>(problem).launch(memory_, converted, seed_++);
  }

  void route_gradient(const RouterGradientArgs& args) override {
    const RouterProblem problem = router_problem(shape_);
    abi::RouterGradientArgs converted = convert(problem, args);
    converted.status = static_cast<unsigned*>(status_->get());
    kernel_for<emulator::RouterGradientKernel>(problem).launch(memory_, converted, seed_++);
  }

  void permute_rows(const PermuteRowsArgs& args) override {
    abi::PermuteRowsArgs converted = convert(args);
    run_rows(args.topk_weights == nullptr ? "moe_tune_spread_rows" : typed("moe_tune_spread_scaled_rows_"), converted);
  }

  void swiglu_gradient(const SwigluGradientArgs& args) override {
    abi::SwigluGradientArgs converted = convert(args);
    run_rows(typed("moe_tune_swiglu_gradient_"), converted);
  }

  void combine_rows(const CombineRowsArgs& args) override {
    abi::CombineRowsArgs converted = convert(args);
    run_rows(typed("moe_tune_combine_rows_"), converted);
  }

  void multiply(BlockGemm gemm, BlockPass pass, const GroupedGemmArgs& args) override {
    const Problem problem = problem_of(shape_, gemm, pass);
    const emulator::GemmKernel& kernel = kernel_of(problem, emulated_config(problem, number_));
    kernel.launch(memory_, convert(problem, args, static_cast<unsigned*>(status_->get())),
                  {args.workspace, static_cast<unsigned*>(queue_->get())}, seed_++);
  }

  void store_word(void* address, int value) override { std::memcpy(host(address), &value, sizeof value); }
  void copy(void* to, const void* from, std::size_t bytes) override { std::memcpy(host(to), host(from), bytes); }
  void clear(void* address, std::size_t bytes) override { std::memset(host(address), 0, bytes); }

  // Kernels run one after the other here, in the order in which they are enqueued.
  void begin_branch() override {}
  void end_branch() override {}
  void join_branch() override {}

 private:
  emulator::Allocation& word(const char* name) { return memory_.allocate(name, sizeof(unsigned), emulator::Use::read_write); }
  std::byte* host(const void* device) const {
    const auto at = reinterpret_cast<std::uint64_t>(device);
    const emulator::Allocation& memory = *memory_.find(at);
    return memory.data + (at - memory.address);
  }
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

  template <class Kernel>
  static const Kernel& kernel_for(const RouterProblem& problem) {
    static std::map<RouterProblem, std::unique_ptr<Kernel>> kernels;
    auto& kernel = kernels[problem];
    if (!kernel) kernel = std::make_unique<Kernel>(problem);
    return *kernel;
  }

  static const emulator::GemmKernel& kernel_of(const Problem& problem, const KernelConfig& config) {
    static std::map<std::pair<Problem, KernelConfig>, std::unique_ptr<emulator::GemmKernel>> kernels;
    auto& kernel = kernels[{problem, config}];
    if (!kernel) kernel = std::make_unique<emulator::GemmKernel>(problem, config);
    return *kernel;
  }

  const BlockShape& shape_;
  emulator::GlobalMemory& memory_;
  std::uint64_t number_;
  std::uint64_t seed_;
  emulator::Allocation* status_;
  emulator::Allocation* queue_;
};

}  // namespace moe_tune::test
