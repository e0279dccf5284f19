#include "generator/models.hpp"

#include <fmt/format.h>

#include <optional>

#include "generator/support/file.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

namespace fs = std::filesystem;

// Generous, and small enough that 2 * I is an int. validate() has the limits of a Problem.
constexpr int max_dimension = 1 << 24;
constexpr int max_layers = 1 << 16;

enum class ConfigKind { qwen3_moe, llama4 };

int positive(const JsonView& config, std::string_view key) { return config.at(key).integer<int>(1, max_dimension); }

ConfigKind kind_of(const JsonView& config) {
  if (const auto type = config.find("model_type")) {
    const std::string name = type->string();
    if (name == "qwen3_moe") return ConfigKind::qwen3_moe;
    if (name == "llama4_text") return ConfigKind::llama4;
    if (name == "llama4") config.fail("a llama4 model has its text model in \"text_config\", which is missing");
    type->fail(fmt::format("\"{}\" is not one of: qwen3_moe, llama4_text", name));
  }
  if (config.find("num_experts")) return ConfigKind::qwen3_moe;
  if (config.find("num_local_experts")) return ConfigKind::llama4;
  config.fail("no MoE model: there is neither num_experts (Qwen3-MoE) nor num_local_experts (Llama4)");
}

ModelShape read_qwen3(const JsonView& config) {
  ModelShape model;
  // transformers 5 writes the second name.
  model.E =
      positive(config, !config.find("num_experts") && config.find("num_local_experts") ? "num_local_experts" : "num_experts");
  model.I = positive(config, "moe_intermediate_size");
  const auto norm = config.find("norm_topk_prob");
  model.router = norm && norm->boolean() ? RouterKind::softmax_norm_topk : RouterKind::softmax;
  return model;
}

ModelShape read_llama4(const JsonView& config) {
  ModelShape model;
  model.E = positive(config, "num_local_experts");
  model.I = positive(config, "intermediate_size");
  model.router = RouterKind::sigmoid;
  model.shared_expert_I = model.I;
  return model;
}

/// A member that may be absent or null.
std::optional<JsonView> optional(const JsonView& config, std::string_view key) {
  auto value = config.find(key);
  if (value && value->is_null()) value.reset();
  return value;
}

int step(const JsonView& config, std::string_view key) {
  const auto value = optional(config, key);
  return value ? value->integer<int>(1, max_layers) : 1;
}

/// Whether each layer has experts: every step-th one, except for those of a list; or those of a list. Layers of a list that the
/// model has not are passed over, as they are where a model is cut short by num_hidden_layers alone.
std::vector<bool> read_layers(const JsonView& config, ConfigKind kind) {
  const auto count = config.find("num_hidden_layers");
  if (!count) return {};
  std::vector<bool> layers(static_cast<size_t>(count->integer<int>(1, max_layers)));
  const auto set = [&](const JsonView& list, bool with_moe) {
    for (const JsonView& layer : list.elements()) {
      if (const auto index = layer.integer<size_t>(0, max_dimension); index < layers.size()) layers[index] = with_moe;
    }
  };
  const bool qwen3 = kind == ConfigKind::qwen3_moe;
  const auto list = optional(config, qwen3 ? "mlp_only_layers" : "moe_layers");
  if (qwen3 || !list) {
    const auto every = static_cast<size_t>(step(config, qwen3 ? "decoder_sparse_step" : "interleave_moe_layer_step"));
    for (size_t layer = every - 1; layer < layers.size(); layer += every) layers[layer] = true;
  }
  if (list) set(*list, !qwen3);
  return layers;
}

/// transformers 5 writes "dtype", older ones "torch_dtype"; a nested config may leave it to the outer one.
std::string read_dtype(const JsonView& config, const JsonView& root) {
  for (const JsonView& place : {config, root}) {
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (const auto dtype = optional(place, key)) return dtype->string();
    }
  }
  return "";
}

void require_silu(const JsonView& config) {
  const auto activation = config.find("hidden_act");
  if (!activation) return;
  if (const std::string name = activation->string(); name != "silu") {
    activation->fail(fmt::format("the activation \"{}\" is not supported; allowed: silu", name));
  }
}

// A model's name for tables: files are all called config.json, so the folder says more.
std::string name_from(const fs::path& source) {
  if (source.filename() == "config.json" && source.has_parent_path()) {
    const fs::path folder = source.parent_path().filename();
    if (!folder.empty() && folder != "." && folder != "..") return folder.string();
  }
  return source.stem().string();
}

std::string preset_names() {
  std::string names;
  for (const ModelShape& model : preset_models()) names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  return names;
}

}  // namespace

std::string_view to_string(RouterKind router) {
  switch (router) {
    case RouterKind::softmax:
      return "softmax";
    case RouterKind::softmax_norm_topk:
      return "softmax_norm_topk";
    case RouterKind::sigmoid:
      return "sigmoid";
  }
  throw UsageError(fmt::format("router {} has no name", static_cast<int>(router)));
}

std::span<const ModelShape> preset_models() {
  static const ModelShape presets[] = {
      {"qwen3-30b-a3b", 128, 8, 2048, 768, RouterKind::softmax_norm_topk, 0},
      {"qwen3-235b-a22b", 128, 8, 4096, 1536, RouterKind::softmax_norm_topk, 0},
      {"llama4-scout", 16, 1, 5120, 8192, RouterKind::sigmoid, 8192},
      {"llama4-maverick", 128, 1, 5120, 8192, RouterKind::sigmoid, 8192},
  };
  return presets;
}

ModelShape parse_model_config(std::string_view text, const fs::path& source_name) {
  return parse_whole_model_config(text, source_name).shape;
}

ModelConfig parse_whole_model_config(std::string_view text, const fs::path& source_name) {
  const JsonDocument document = parse_json(text, source_name.string());
  const JsonView root = document.root();
  if (!root.is_object()) root.fail("a model's config.json is an object");
  const JsonView config = root.find("text_config").value_or(root);
  if (!config.is_object()) config.fail("text_config is an object");
  const ConfigKind kind = kind_of(config);
  ModelShape model = kind == ConfigKind::qwen3_moe ? read_qwen3(config) : read_llama4(config);
  model.name = name_from(source_name);
  model.H = positive(config, "hidden_size");
  model.top_k = positive(config, "num_experts_per_tok");
  require_silu(config);
  if (model.top_k > model.E) {
    config.at("num_experts_per_tok").fail(fmt::format("{} experts per token of only {}", model.top_k, model.E));
  }
  try {
    for (const Problem& problem : gemm_problems(model, DType::bf16)) validate(problem);
  } catch (const UsageError& error) {
    config.fail(fmt::format("this shape cannot be served: {}", error.what()));
  }
  return {std::move(model), read_layers(config, kind), read_dtype(config, root)};
}

ModelShape find_model(const std::string& preset_or_path) {
  for (const ModelShape& model : preset_models()) {
    if (model.name == preset_or_path) return model;
  }
  std::error_code error;
  fs::path path = preset_or_path;
  if (fs::is_directory(path, error)) path /= "config.json";
  if (!fs::exists(path, error)) {
    throw UsageError(
        fmt::format("model \"{}\" is neither a preset ({}) nor the path of a config.json", preset_or_path, preset_names()));
  }
  // Model caches hold links to shared files; the user named this one, so it is followed.
  return parse_model_config(read_file(follow_links(path), max_json_bytes), path);
}

Problem gemm_problem(const ModelShape& model, Gemm gemm, DType dtype, Op op) {
  Problem problem;
  problem.op = op;
  problem.gemm = gemm;
  problem.dtype = dtype;
  problem.E = model.E;
  problem.top_k = model.top_k;
  problem.N = gemm == Gemm::gate_up ? 2 * model.I : model.H;
  problem.K = gemm == Gemm::gate_up ? model.H : model.I;
  problem.permute_x = gemm == Gemm::gate_up;
  problem.permute_y = gemm == Gemm::down;
  return problem;
}

std::array<Problem, 2> gemm_problems(const ModelShape& model, DType dtype, Op op) {
  return {gemm_problem(model, Gemm::gate_up, dtype, op), gemm_problem(model, Gemm::down, dtype, op)};
}

}  // namespace moe_tune
