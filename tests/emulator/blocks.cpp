// Fused blocks on the emulated device, on the golden fixtures.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "generator/constraints.hpp"
#include "runtime/blocks/block_options.hpp"
#include "tests/support/emulated_block.hpp"
#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr std::byte poison{0xff};

/// The tensors of a call on the emulated device.
class EmulatedBlock {
 public:
  EmulatedBlock(const GoldenCase& golden, const BlockCall& call, const BlockConfigs& configs)
      : golden_(golden), call_(call), shape_(make_shape(golden.shape(), dtype_of(golden), call.options)), configs_(configs) {
    require_consistent(call.options);
  }

  BlockOutputs run() {
    const std::int64_t tokens = golden_.tokens();
    const ModelShape& m = golden_.shape();
    const MoeBlockInputs in = golden_.inputs();
    const ExpertRange experts = shape_.experts;
    const auto constant = [&](const char* name, const void* data, std::int64_t first, std::int64_t elements) {
      const auto* bytes = static_cast<const std::byte*>(data) + first * 2;
      return memory_.upload(name, std::span(bytes, static_cast<std::size_t>(elements) * 2)).get();
    };
    const std::int64_t gate_up = std::int64_t{2} * m.I * m.H;
    const std::int64_t down = std::int64_t{m.H} * m.I;
    MoeWeights weights;
    weights.gate = constant("gate", in.gate, 0, std::int64_t{m.E} * m.H);
    weights.gate_up_proj = constant("gate_up_proj", in.gate_up_proj, experts.first * gate_up, experts.count * gate_up);
    weights.down_proj = constant("down_proj", in.down_proj, experts.first * down, experts.count * down);
    if (m.shared_expert_I > 0) {
      weights.shared_gate_up_proj =
          constant("shared_gate_up_proj", in.shared_gate_up_proj, 0, std::int64_t{2} * m.shared_expert_I * m.H);
      weights.shared_down_proj = constant("shared_down_proj", in.shared_down_proj, 0, std::int64_t{m.shared_expert_I} * m.H);
    }
    emulator::Allocation& out = output("out", tokens * m.H * 2);
    emulator::Allocation& logits = output("router_logits", tokens * m.E * 2);
    emulator::Allocation& topk_weights = output("topk_weights", tokens * m.top_k * 2);
    emulator::Allocation& selected = output("selected_experts", tokens * m.top_k * 4);
    if (call_.inject) std::memcpy(selected.data, golden_.selected_experts(), selected.bytes);
    MoeForwardArgs args;
    args.hidden_states = constant("hidden_states", in.hidden_states, 0, tokens * m.H);
    args.out = out.get();
    args.router_logits = logits.get();
    args.topk_weights = topk_weights.get();
    args.selected_experts = selected.get();
    args.inject_selection = call_.inject;
    if (call_.token_count >= 0) {
      args.token_count = memory_.upload("token_count", std::span(&call_.token_count, 1)).get();
    }
    args.tokens = tokens;
    EmulatedExecutor executor(shape_, configs_, memory_, call_.seed);
    const OperationNeeds needs = executor.needs(tokens);
    emulator::Allocation& workspace =
        output("workspace", static_cast<std::int64_t>(BlockWorkspace(shape_, tokens, needs, nullptr).bytes));
    enqueue_forward(shape_, weights, args, BlockWorkspace(shape_, tokens, needs, workspace.get()), executor, nullptr);
    CHECK(executor.status() == 0);
    return {copy<std::uint16_t>(out), copy<std::uint16_t>(logits), copy<std::uint16_t>(topk_weights),
            copy<std::int32_t>(selected)};
  }

 private:
  emulator::Allocation& output(const char* name, std::int64_t bytes) {
    emulator::Allocation& memory = memory_.allocate(name, static_cast<std::size_t>(bytes), emulator::Use::read_write);
    std::fill_n(memory.data, memory.bytes, poison);
    return memory;
  }

  template <class T>
  static std::vector<T> copy(const emulator::Allocation& memory) {
    const auto values = memory.as<T>();
    return {values.begin(), values.end()};
  }

  const GoldenCase& golden_;
  const BlockCall& call_;
  BlockShape shape_;
  const BlockConfigs& configs_;
  emulator::GlobalMemory memory_;
};

/// A config of either family that serves both a block's GEMMs and those of its shared expert.
BlockConfigs configs_for(const BlockShape& shape, std::uint64_t number) {
  static const std::vector<std::string> names = {
      "sm80_64x128x64_w4m2_s4_c2_mfast",
      "sm90_16x64x64_weights_coop_w8_s4_c2_x1_static_mfast_dispatch",
      "sm90_96x128x64_weights_pingpong_w12_s5_c1_x1_queue_mfast_inkernel",
      "sm90_192x128x64_weights_pingpong_w12_s3_c1_x1_queue_mfast_copyahead",
  };
  const auto fitting = [&](BlockGemm gemm) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      KernelConfig config = parse_config(names[(number + i) % names.size()]);
      const Problem problem = problem_of(shape, gemm);
      if (!problem.permute_x) config.gather = Gather::dispatch;
      if (!reject(problem, config)) return config;
    }
    throw UsageError("no config serves the block");
  };
  return {fitting(BlockGemm::gate_up), fitting(BlockGemm::down)};
}

}  // namespace

TEST_CASE("emulator: fused blocks agree with float64 in every way to work") {
  for_each_block_call([](const GoldenCase& golden, const std::string& name, const BlockCall& call) {
    const BlockConfigs configs = configs_for(make_shape(golden.shape(), dtype_of(golden), call.options), call.seed);
    INFO(name << " " << call.describe() << " " << to_string(configs.gate_up) << " " << to_string(configs.down));
    CHECK(judge_block(golden, name, call, EmulatedBlock(golden, call, configs).run()) == "");
  });
}
