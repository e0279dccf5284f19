// Fused blocks on the emulated device, on the golden fixtures.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/blocks/block_backward.hpp"
#include "runtime/blocks/block_forward.hpp"
#include "runtime/blocks/block_options.hpp"
#include "tests/support/block_training.hpp"
#include "tests/support/emulated_block.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

constexpr std::byte poison{0xff};

/// The tensors of calls on the emulated device.
class EmulatedBlock {
 public:
  EmulatedBlock(const GoldenCase& golden, const BlockCall& call)
      : golden_(golden),
        call_(call),
        tokens_(golden.tokens()),
        shape_(make_shape(golden.shape(), dtype_of(golden), call.options)),
        executor_(shape_, memory_, call.seed),
        weights_(make_weights()),
        hidden_states_(constant("hidden_states", golden.data("hidden_states"), 0, tokens_ * shape_.model.H)),
        out_(output("out", tokens_ * shape_.model.H * 2)),
        logits_(output("router_logits", tokens_ * shape_.model.E * 2)),
        topk_weights_(output("topk_weights", tokens_ * shape_.model.top_k * 2)),
        selected_(output("selected_experts", tokens_ * shape_.model.top_k * 4)) {
    require_consistent(call.options);
  }

  void forward(const SavedForward* saved = nullptr) {
    const BlockPass pass = saved == nullptr ? BlockPass::inference : BlockPass::training;
    MoeForwardArgs args;
    args.hidden_states = hidden_states_;
    args.out = out_.get();
    args.router_logits = logits_.get();
    args.topk_weights = topk_weights_.get();
    args.selected_experts = selected_.get();
    args.inject_selection = call_.inject;
    if (call_.inject) std::memcpy(selected_.data, golden_.selected_experts(), selected_.bytes);
    if (call_.token_count >= 0) args.token_count = memory_.upload("token_count", std::span(&call_.token_count, 1)).get();
    args.tokens = tokens_;
    const OperationNeeds needs = executor_.needs(tokens_, pass);
    emulator::Allocation& workspace = output("workspace", bytes_of(ForwardWorkspace(shape_, tokens_, needs, nullptr)));
    enqueue_forward(shape_, weights_, args, ForwardWorkspace(shape_, tokens_, needs, workspace.get()), saved, executor_, nullptr);
    CHECK(executor_.status() == 0);
  }

  BlockOutputs outputs() const {
    return {copy<std::uint16_t>(out_), copy<std::uint16_t>(logits_), copy<std::uint16_t>(topk_weights_),
            copy<std::int32_t>(selected_)};
  }

  GradientBytes train(const TrainingCall& call) {
    std::map<std::string, emulator::Allocation*> gradients;
    for (const auto& [name, elements] : gradient_elements(golden_, call))
      gradients[name] = &output(("d_" + name).c_str(), elements * gradient_element_bytes(name, call));
    emulator::Allocation& kept = output("saved", bytes_of(SavedForward(shape_, tokens_, nullptr)));
    const SavedForward saved(shape_, tokens_, kept.get());
    MoeBackwardArgs args;
    args.hidden_states = hidden_states_;
    args.d_out = constant("d_out", golden_.data("d_out"), 0, tokens_ * shape_.model.H);
    if (call.d_router_logits)
      args.d_router_logits = constant("d_router_logits", incoming_d_router_logits(golden_), 0, tokens_ * shape_.model.E);
    place_gradients(args, [&](const char* name) { return gradients.contains(name) ? gradients[name]->get() : nullptr; });
    args.tokens = tokens_;
    const std::size_t router = executor_.router_gradient_needs(tokens_);
    emulator::Allocation& workspace = output("workspace", bytes_of(BackwardWorkspace(shape_, tokens_, router, nullptr)));
    for (int step = 0; step < call.steps; ++step) {
      forward(&saved);
      args.accumulate = step > 0;
      enqueue_backward(shape_, weights_, args, saved, BackwardWorkspace(shape_, tokens_, router, workspace.get()), executor_,
                       nullptr);
      CHECK(executor_.status() == 0);
    }
    GradientBytes result;
    for (const auto& [name, memory] : gradients) result[name] = copy<std::byte>(*memory);
    return result;
  }

 private:
  const void* constant(const char* name, const void* data, std::int64_t first, std::int64_t elements) {
    const auto* bytes = static_cast<const std::byte*>(data) + first * 2;
    return memory_.upload(name, std::span(bytes, static_cast<std::size_t>(elements) * 2)).get();
  }

  MoeWeights make_weights() {
    const ModelShape& m = shape_.model;
    const MoeBlockInputs in = golden_.inputs();
    const ExpertRange experts = shape_.experts;
    const std::int64_t gate_up = std::int64_t{2} * m.I * m.H;
    const std::int64_t down = std::int64_t{m.H} * m.I;
    MoeWeights weights;
    weights.gate = constant("gate", in.gate, 0, std::int64_t{m.E} * m.H);
    weights.gate_up_proj = constant("gate_up_proj", in.gate_up_proj, experts.first * gate_up, experts.count * gate_up);
    weights.down_proj = constant("down_proj", in.down_proj, experts.first * down, experts.count * down);
    if (!shape_.has_shared_expert()) return weights;
    weights.shared_gate_up_proj =
        constant("shared_gate_up_proj", in.shared_gate_up_proj, 0, std::int64_t{2} * m.shared_expert_I * m.H);
    weights.shared_down_proj = constant("shared_down_proj", in.shared_down_proj, 0, std::int64_t{m.shared_expert_I} * m.H);
    return weights;
  }

  template <class Memory>
  static std::int64_t bytes_of(const Memory& memory) {
    return static_cast<std::int64_t>(memory.bytes);
  }

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
  std::int64_t tokens_;
  BlockShape shape_;
  emulator::GlobalMemory memory_;
  EmulatedExecutor executor_;
  MoeWeights weights_;
  const void* hidden_states_;
  emulator::Allocation& out_;
  emulator::Allocation& logits_;
  emulator::Allocation& topk_weights_;
  emulator::Allocation& selected_;
};

}  // namespace

TEST_CASE("emulator: fused blocks agree with float64 in every way to work") {
  for_each_block_call([](const GoldenCase& golden, const std::string& name, const BlockCall& call) {
    INFO(name << " " << call.describe());
    EmulatedBlock block(golden, call);
    block.forward();
    CHECK(judge_block(golden, name, call, block.outputs()) == "");
  });
}

TEST_CASE("emulator: backwards of fused blocks agree with float64") {
  for_each_training_call(true, [](const GoldenCase& golden, const TrainingCall& call) {
    INFO(call.describe());
    EmulatedBlock block(golden, call.forward);
    const GradientBytes gradients = block.train(call);
    CHECK(judge_gradients(golden, call, block.outputs().selected_experts, gradients) == "");
  });
}
