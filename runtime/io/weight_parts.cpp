#include "runtime/io/weight_parts.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

constexpr std::array prefixes = {"model.", "language_model.model.", "model.language_model.", ""};

void require_moe_layer(const Checkpoint& checkpoint, int layer) {
  const ModelConfig& config = checkpoint.config();
  if (config.is_moe_layer(layer)) return;
  const std::string file = (checkpoint.folder() / "config.json").string();
  const int layers = config.num_hidden_layers();
  if (layer < 0 || layer >= layers) {
    throw UsageError(fmt::format("{}: there is no layer {}; the model has layers 0 to {}", file, layer, layers - 1));
  }
  std::string others;
  for (int other = 0; other < layers && others.size() < 30; ++other) {
    if (config.is_moe_layer(other)) others += fmt::format("{}{}", others.empty() ? "" : ", ", other);
  }
  throw UsageError(fmt::format("{}: layer {} is dense, it has no experts; layers that have: {}{}", file, layer,
                               others.empty() ? "none" : others, others.size() < 30 ? "" : ", ..."));
}

/// Looks tensors of one layer up and checks them.
class Layer {
 public:
  Layer(const Checkpoint& checkpoint, int layer)
      : checkpoint_(checkpoint), llama4_(checkpoint.config().shape.router == RouterKind::sigmoid) {
    const std::string inside = fmt::format("layers.{}.{}", layer, llama4_ ? "feed_forward." : "mlp.");
    for (const char* prefix : prefixes) {
      base_ = prefix + inside;
      if (checkpoint.find(router()) != nullptr) return;
    }
    base_ = prefixes.front() + inside;  // the usual one, for the message
  }

  bool llama4() const { return llama4_; }
  std::string router() const { return base_ + (llama4_ ? "router.weight" : "gate.weight"); }
  std::string inside(std::string_view name) const { return fmt::format("{}{}", base_, name); }
  std::string of_expert(int expert, std::string_view name) const { return fmt::format("{}experts.{}.{}", base_, expert, name); }
  bool has(const std::string& name) const { return checkpoint_.find(name) != nullptr; }

  const HostTensor* get(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const HostTensor& tensor = checkpoint_.tensor(name);
    const auto fail = [&](const std::string& what) {
      throw UsageError(fmt::format("{}: {}: {}", checkpoint_.file_of(name).string(), name, what));
    };
    if (tensor.shape != shape) {
      fail(fmt::format("expected the shape {} by config.json, found {}", describe_shape(shape), describe_shape(tensor.shape)));
    }
    if (tensor.type != ElementType::bf16 && tensor.type != ElementType::fp16 && tensor.type != ElementType::fp32) {
      fail(fmt::format("weights of type {} cannot be read; allowed: BF16, F16, F32", to_string(tensor.type)));
    }
    return &tensor;
  }

 private:
  const Checkpoint& checkpoint_;
  bool llama4_;
  std::string base_;
};

}  // namespace

std::vector<WeightPart> find_weight_parts(const Checkpoint& checkpoint, int layer_index, ExpertRange experts) {
  require_moe_layer(checkpoint, layer_index);
  const ModelShape& model = checkpoint.config().shape;
  const std::int64_t E = model.E, H = model.H, I = model.I, S = model.shared_expert_I;
  const std::int64_t local = moe_weights_layout(model, experts).shape(MoeTensor::gate_up_proj).front();
  const Layer layer(checkpoint, layer_index);
  std::vector<WeightPart> parts;

  // A matrix of its own, rows x columns.
  const auto add = [&](MoeTensor target, const std::string& name, std::int64_t rows, std::int64_t columns) {
    parts.push_back({target, layer.get(name, {rows, columns}), 0, rows, columns});
  };
  // Those of all experts in one tensor.
  const auto add_fused = [&](MoeTensor target, const std::string& name, std::int64_t rows, std::int64_t columns) {
    if (!layer.llama4()) {
      const HostTensor* source = layer.get(name, {E, rows, columns});
      parts.push_back({target, source, experts.first * rows * columns, local * rows, columns});
      return;
    }
    const HostTensor* source = layer.get(name, {E, columns, rows});
    for (std::int64_t expert = 0; expert < local; ++expert) {
      parts.push_back({target, source, (experts.first + expert) * rows * columns, rows, columns, true});
    }
  };

  add(MoeTensor::gate, layer.router(), E, H);
  if (const std::string fused = layer.inside("experts.gate_up_proj"); layer.has(fused)) {
    add_fused(MoeTensor::gate_up_proj, fused, 2 * I, H);
  } else {
    for (int expert = experts.first; expert < experts.first + local; ++expert) {
      add(MoeTensor::gate_up_proj, layer.of_expert(expert, "gate_proj.weight"), I, H);
      add(MoeTensor::gate_up_proj, layer.of_expert(expert, "up_proj.weight"), I, H);
    }
  }
  if (const std::string fused = layer.inside("experts.down_proj"); layer.has(fused)) {
    add_fused(MoeTensor::down_proj, fused, H, I);
  } else {
    for (int expert = experts.first; expert < experts.first + local; ++expert) {
      add(MoeTensor::down_proj, layer.of_expert(expert, "down_proj.weight"), H, I);
    }
  }
  if (S > 0) {
    add(MoeTensor::shared_gate_up_proj, layer.inside("shared_expert.gate_proj.weight"), S, H);
    add(MoeTensor::shared_gate_up_proj, layer.inside("shared_expert.up_proj.weight"), S, H);
    add(MoeTensor::shared_down_proj, layer.inside("shared_expert.down_proj.weight"), H, S);
  }
  return parts;
}

}  // namespace moe_tune
