// Shapes of models, from presets and config.json files, and the grouped GEMMs that their MoE layers consist of.
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe_tune/model_shape.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

/// qwen3-30b-a3b, qwen3-235b-a22b, llama4-scout, llama4-maverick.
std::span<const ModelShape> preset_models();

/// The shape in a Hugging Face config.json of a Qwen3-MoE or Llama4 model, also where it stands in a nested text_config. `text`
/// is not trusted: throws UsageError naming `source_name`, the key and what is allowed for a missing or impossible value, another
/// kind of model, or an activation other than silu.
ModelShape parse_model_config(std::string_view text, const std::filesystem::path& source_name);

/// What a config.json says of a whole model.
struct ModelConfig {
  ModelShape shape;                   ///< of its MoE layers
  std::vector<bool> layers_with_moe;  ///< one per layer; the others have a dense MLP. Empty without num_hidden_layers
  std::string dtype;                  ///< as written, e.g. "bfloat16"; empty where the config does not say

  int num_hidden_layers() const { return static_cast<int>(layers_with_moe.size()); }
  /// False also for a layer that there is not.
  bool is_moe_layer(int layer) const {
    return layer >= 0 && layer < num_hidden_layers() && layers_with_moe[static_cast<size_t>(layer)];
  }
};

/// All of parse_model_config(), and which layers have experts, by mlp_only_layers and decoder_sparse_step (Qwen3-MoE), moe_layers
/// or interleave_moe_layer_step (Llama4).
ModelConfig parse_whole_model_config(std::string_view text, const std::filesystem::path& source_name);

/// A preset by its name, else the config.json at that path or in that folder. Throws UsageError listing the presets when it is
/// neither, EnvironmentError when the file cannot be read.
ModelShape find_model(const std::string& preset_or_path);

/// One of a block's GEMMs, or a gradient of it. Forward, gate_up has N = 2I, K = H and gathers its rows from token order
/// (permute_x); down has N = H, K = I and scatters them back to slot order (permute_y).
Problem gemm_problem(const ModelShape& model, Gemm gemm, DType dtype, Op op = Op::forward);

/// The op of gate_up and of down.
std::array<Problem, 2> gemm_problems(const ModelShape& model, DType dtype, Op op = Op::forward);

}  // namespace moe_tune
