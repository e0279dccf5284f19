// moe-tune run: one MoE layer of a checkpoint on tensors from a file.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "moe_tune/error.hpp"
#include "moe_tune/moe_block.hpp"
#include "moe_tune/moe_reference.hpp"
#include "runtime/blocks/load_weights.hpp"
#include "runtime/io/checkpoint.hpp"
#include "runtime/io/safetensors.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/online_tuning.hpp"
#include "tools/options.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Loads one MoE layer of a Hugging Face checkpoint folder (config.json, "
    "safetensors) and runs its forward on the tensor\n"
    "hidden_states (or the only one) of the input file, (..., H), of the "
    "layer's dtype. The output file gets hidden_states,\n"
    "router_logits, selected_experts and topk_weights. On a GPU it is the "
    "fused block with tuned kernels, with --device cpu the\n"
    "reference, step by step in float64.\n"
    "\n"
    "Examples:\n"
    "  moe-tune run --checkpoint ./Qwen3-30B-A3B --layer 0 --input "
    "x.safetensors --output y.safetensors\n"
    "  moe-tune run --checkpoint ./Qwen3-30B-A3B --layer 0 --input "
    "x.safetensors --output y.safetensors --device cpu";

constexpr const char* cpu_name = "cpu";
constexpr const char* gpu_name = "gpu";

struct RunFlags {
  std::string checkpoint;
  int layer = 0;
  std::string input;
  std::string output;
  std::string device = gpu_name;
  int ordinal = 0;
  std::string dtype;
  DatabaseOptions database;
};

/// What the output file gets, on the host.
struct Outputs {
  OwnedTensor hidden_states;
  OwnedTensor router_logits;
  OwnedTensor selected_experts;
  OwnedTensor topk_weights;
};

TensorType parse_tensor_type(const std::string& text) {
  for (const TensorType type : {TensorType::bf16, TensorType::fp16, TensorType::fp32}) {
    if (text == to_string(type)) return type;
  }
  throw UsageError(fmt::format("--dtype {}: allowed are bf16, fp16 and, with --device cpu, fp32", text));
}

/// The tensor that a file is about.
const HostTensor& hidden_states_of(const SafetensorsFile& file) {
  if (const HostTensor* named = file.find("hidden_states")) return *named;
  const auto tensors = file.tensors();
  if (tensors.size() == 1) return tensors.front();
  throw UsageError(fmt::format("{}: there is no tensor hidden_states, and {} others", file.path().string(), tensors.size()));
}

OwnedTensor read_input(const std::string& path, TensorType type, int H) {
  const SafetensorsFile file(path);
  const HostTensor& given = hidden_states_of(file);
  if (given.type != element_type(type)) {
    throw UsageError(
        fmt::format("{}: {} is not of the layer's dtype, {}: "
                    "convert it, or name its dtype with --dtype",
                    path, given.name, to_string(type)));
  }
  if (given.shape.empty() || given.shape.back() != H) {
    throw UsageError(fmt::format("{}: the last dimension of {} is not the model's hidden size, {}", path, given.name, H));
  }
  OwnedTensor hidden(type, given.shape);
  hidden.write(given.bytes.data(), given.bytes.size());
  return hidden;
}

template <class Block>
Outputs run_reference(const RunFlags& flags, TensorType type) {
  Block block = Block::from_hf(flags.checkpoint, flags.layer, cpu_device, type);
  GroupedGemmResult result = block.forward(read_input(flags.input, type, block.config().H));
  return {std::move(result.hidden_states), std::move(result.router_logits), std::move(result.selected_experts),
          std::move(result.topk_weights)};
}

Outputs run_fused(const RunFlags& flags, TensorType type) {
  Library library(library_options(flags.database));
  const auto block = load_block(library, flags.checkpoint, flags.layer, flags.ordinal, {}, storage_dtype(type));
  const ModelShape& model = block->config();
  const OwnedTensor hidden = read_input(flags.input, type, model.H).to(flags.ordinal);
  const std::int64_t tokens = hidden.elements() / model.H;
  Outputs outputs{OwnedTensor(type, hidden.shape(), flags.ordinal), OwnedTensor(type, {tokens, model.E}, flags.ordinal),
                  OwnedTensor(TensorType::int32, {tokens, model.top_k}, flags.ordinal),
                  OwnedTensor(type, {tokens, model.top_k}, flags.ordinal)};
  MoeForwardArgs args;
  args.hidden_states = hidden.data();
  args.out = outputs.hidden_states.data();
  args.router_logits = outputs.router_logits.data();
  args.selected_experts = outputs.selected_experts.data();
  args.topk_weights = outputs.topk_weights.data();
  args.tokens = tokens;
  block->forward(args, /*the default stream, which copies to the host wait for*/ nullptr);
  return {outputs.hidden_states.to(cpu_device), outputs.router_logits.to(cpu_device), outputs.selected_experts.to(cpu_device),
          outputs.topk_weights.to(cpu_device)};
}

void write_outputs(const Outputs& outputs, const std::string& path) {
  const auto named = [](const char* name, const OwnedTensor& tensor) {
    const auto* bytes = static_cast<const std::byte*>(tensor.data());
    return HostTensor{name, element_type(tensor.type()), tensor.shape(), {bytes, tensor.bytes()}};
  };
  const HostTensor tensors[] = {named("hidden_states", outputs.hidden_states), named("router_logits", outputs.router_logits),
                                named("selected_experts", outputs.selected_experts), named("topk_weights", outputs.topk_weights)};
  write_safetensors(path, tensors);
}

int run(const RunFlags& flags) {
  if (flags.device != cpu_name && flags.device != gpu_name)
    throw UsageError(fmt::format("--device {}: allowed are cpu and gpu", flags.device));
  const auto asked = flags.dtype.empty() ? std::nullopt : std::optional(parse_tensor_type(flags.dtype));
  const TensorType type = checkpoint_shapes(flags.checkpoint, asked).type;
  if (flags.device == gpu_name) {
    write_outputs(run_fused(flags, type), flags.output);
  } else if (Checkpoint(flags.checkpoint).config().shape.router == RouterKind::sigmoid) {
    write_outputs(run_reference<Llama4GroupedGemmTextMoe>(flags, type), flags.output);
  } else {
    write_outputs(run_reference<Qwen3MoeGroupedGemmBlock>(flags, type), flags.output);
  }
  return exit_ok;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto [verb, flags] = add_verb<RunFlags>(app, action, "run", "run an MoE layer of a checkpoint", examples, run);
  verb->add_option("--checkpoint", flags->checkpoint, "folder with config.json and safetensors")->required();
  verb->add_option("--layer", flags->layer, "number of the layer, from 0")->required()->check(CLI::NonNegativeNumber);
  verb->add_option("--input", flags->input, "safetensors file with hidden_states")->required();
  verb->add_option("--output", flags->output, "safetensors file to write")->required();
  verb->add_option("--device", flags->device, "gpu: the fused block; cpu: the reference")->capture_default_str();
  verb->add_option("--devices", flags->ordinal, "number of the GPU")->check(CLI::NonNegativeNumber)->capture_default_str();
  verb->add_option("--dtype", flags->dtype, "bf16, fp16, on the CPU fp32 too (default: the checkpoint's)");
  add_database_options(*verb, flags->database);
}

}  // namespace moe_tune::cli
