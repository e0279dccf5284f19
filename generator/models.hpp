// The MoE layer of a model as a shape, and the grouped GEMMs it consists of.
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// How the router turns logits into the weights of the chosen experts.
enum class Router {
  softmax,            ///< softmax over all experts, then top_k (Qwen3 with norm_topk_prob = false)
  softmax_norm_topk,  ///< the same, the chosen weights divided by their sum (Qwen3)
  sigmoid,            ///< top_k of the logits, each through a sigmoid, applied before the experts (Llama4)
};

std::string_view to_string(Router router);

/// What tuning needs to know of a model: every MoE layer of it has this shape.
struct ModelShape {
  std::string name;  ///< a preset's name, or the folder of a config.json
  int E = 0;         ///< experts
  int top_k = 0;     ///< experts per token
  int H = 0;         ///< hidden size
  int I = 0;         ///< intermediate size of an expert
  Router router = Router::softmax_norm_topk;
  int shared_expert_I = 0;  ///< intermediate size of the expert that sees every token; 0: the model has none

  bool operator==(const ModelShape&) const = default;
};

/// qwen3-30b-a3b, qwen3-235b-a22b, llama4-scout, llama4-maverick.
std::span<const ModelShape> preset_models();

/// The shape in a Hugging Face config.json of a Qwen3-MoE or Llama4 model, also where it stands in a nested text_config. `text`
/// is not trusted: throws UsageError naming `source_name`, the key and what is allowed for a missing or impossible value, another
/// kind of model, or an activation other than silu.
ModelShape parse_model_config(std::string_view text, const std::filesystem::path& source_name);

/// A preset by its name, else the config.json at that path or in that folder. Throws UsageError listing the presets when it is
/// neither, EnvironmentError when the file cannot be read.
ModelShape find_model(const std::string& preset_or_path);

/// One of a block's GEMMs, or a gradient of it. Forward, gate_up has N = 2I, K = H and gathers its rows from token order
/// (permute_x); down has N = H, K = I and scatters them back to slot order (permute_y).
Problem gemm_problem(const ModelShape& model, Gemm gemm, DType dtype, Op op = Op::forward);

/// The op of gate_up and of down.
std::array<Problem, 2> gemm_problems(const ModelShape& model, DType dtype, Op op = Op::forward);

}  // namespace moe_tune
