#include "tools/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "generator/block_problems.hpp"
#include "generator/device.hpp"
#include "generator/models.hpp"
#include "moe_tune/error.hpp"
#include "tools/terminal.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune::cli {

namespace {

/// Sets a fusion in the GEMMs that it belongs to: one of dW in every dW. Of forward routing weights after a block's second GEMM,
/// all others in its first.
void fuse(std::vector<Problem>& problems, std::string_view fusion) {
  bool Problem::*const flag = parse_fusion(fusion);
  const auto flags = problem_flags();
  const auto entry = std::find_if(flags.begin(), flags.end(), [&](const ProblemFlag& f) { return f.member == flag; });
  if (entry->op == Op::dW) {
    bool any = false;
    for (Problem& problem : problems) {
      if (problem.op != Op::dW) continue;
      problem.*flag = any = true;
    }
    if (!any) throw UsageError(fmt::format("--fuse: {} belongs to dW, which --op leaves out", fusion));
    return;
  }
  const Gemm where = flag == &Problem::fuse_mul_post ? Gemm::down : Gemm::gate_up;
  const auto found =
      std::find_if(problems.begin(), problems.end(), [&](const Problem& p) { return p.op == Op::forward && p.gemm == where; });
  if (found == problems.end()) {
    throw UsageError(
        fmt::format("--fuse: {} belongs to {} of forward, which --gemm or --op leaves out", fusion, to_string(where)));
  }
  (*found).*flag = true;
}

/// Of a block whose forward and gradients are asked for: a training's forward keeps what the gradients need.
std::vector<BlockPass> block_passes(const std::vector<std::string>& ops) {
  const auto has = [&](const char* op) { return std::find(ops.begin(), ops.end(), op) != ops.end(); };
  std::vector<BlockPass> passes;
  if (has("forward")) passes.push_back(BlockPass::inference);
  if (has("forward") && (has("dX") || has("dW"))) passes.push_back(BlockPass::training);
  if (has("dX")) passes.push_back(BlockPass::dX);
  if (has("dW")) passes.push_back(BlockPass::dW);
  return passes;
}

}  // namespace

Format OutputOptions::format() const {
  if (format_name == "json") return Format::json;
  return format_name == "csv" ? Format::csv : Format::table;
}

void add_output_options(CLI::App& verb, OutputOptions& options) {
  verb.add_option("--format", options.format_name, "how results are printed")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
  verb.add_flag("--quiet,-q", options.quiet, "results and errors only: no plan, no progress, no remarks");
}

void print(const Table& table, const OutputOptions& options) {
  const std::string text = table.text(options.format(), colour_stdout());
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) throw EnvironmentError(fmt::format("standard output: {}", std::strerror(errno)));
}

ModelShape ModelOptions::shape() const {
  ModelShape shape = find_model(model);
  const std::string_view kind = shape.router == RouterKind::sigmoid ? "llama4" : "qwen3";
  if (block && !block->empty() && *block != kind)
    throw UsageError(fmt::format("--block {}: {} is a {} model", *block, model, kind));
  return shape;
}

std::vector<Problem> ModelOptions::problems() const {
  const ModelShape model_shape = shape();
  const DType type = parse_dtype(dtype);
  std::vector<Problem> result;
  const auto add = [&](const auto& problems) {
    for (const Problem& problem : problems) {
      if (gemm.empty() || problem.gemm == parse_gemm(gemm)) result.push_back(problem);
    }
  };
  if (block) {
    const auto keeps = [&](const char* name) {
      return std::find(unpermuted.begin(), unpermuted.end(), name) == unpermuted.end();
    };
    const std::vector<BlockPass> passes = block_passes(ops);
    add(block_problems(model_shape, type, {.permute_x = keeps("permute_x"), .permute_y = keeps("permute_y")}, passes));
    // Rows that are scaled are copied to expert order by default, and gathered when asked: both are a block's.
    if (model_shape.router == RouterKind::sigmoid && unpermuted.empty()) {
      for (const Problem& copied : block_problems(model_shape, type, {.permute_x = false}, passes)) {
        if (std::find(result.begin(), result.end(), copied) == result.end()) add(std::span(&copied, 1));
      }
    }
  } else {
    for (const std::string& op : ops) add(gemm_problems(model_shape, type, parse_op(op)));
  }
  for (const std::string& fusion : fusions) fuse(result, fusion);
  for (const Problem& problem : result) validate(problem);
  return result;
}

void add_model_options(CLI::App& verb, ModelOptions& options, GemmFlag gemm) {
  std::string presets;
  for (const ModelShape& model : preset_models()) presets += model.name + ", ";
  verb.add_option("--model", options.model, presets + "or a config.json (or its folder) of a Qwen3-MoE or Llama4 model")
      ->required();
  CLI::Option* gemm_option = verb.add_option("--gemm", options.gemm, "gate_up (the first GEMM of a block) or down (the second)")
                                 ->check(CLI::IsMember({"gate_up", "down"}));
  if (gemm == GemmFlag::required) {
    gemm_option->required();
  } else {
    gemm_option->description("gate_up (the first GEMM of a block) or down (the second); both if not given");
  }
  CLI::Option* op_option = verb.add_option("--op", options.ops, "forward, dX, dW (gradients of x and of the weights)")
                               ->check(CLI::IsMember({"forward", "dX", "dW"}))
                               ->capture_default_str();
  if (gemm == GemmFlag::required) {
    op_option->expected(1);
  } else {
    op_option->delimiter(',')->description(
        "forward, dX, dW (gradients of x and of the weights), or several, separated by commas");
  }
  verb.add_option("--dtype", options.dtype, "storage type")->check(CLI::IsMember({"bf16", "fp16"}))->capture_default_str();
  std::vector<std::string> names;
  for (const ProblemFlag& flag : problem_flags()) {
    if (!flag.fusion.empty()) names.emplace_back(flag.fusion);
  }
  verb.add_option("--fuse", options.fusions, "what the kernels do besides, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  CLI::Option* block =
      verb.add_option_function<std::string>(
              "--block", [&options](const std::string& kind) { options.block = kind; },
              "the GEMMs as a fused block runs them: SwiGLU in the first (with a sigmoid router its scaling too), and those "
              "of a shared expert; with --op forward,dX,dW all that a training runs; qwen3 or llama4: fail if the model is of "
              "the other kind")
          ->expected(0, 1)
          ->check(CLI::IsMember({"", "qwen3", "llama4"}));
  verb.add_option("--unpermuted", options.unpermuted,
                  "with --block: permute_x, permute_y or both, separated by commas: rows that other kernels move")
      ->delimiter(',')
      ->check(CLI::IsMember({"permute_x", "permute_y"}))
      ->needs(block);
}

RoutingSpec RoutingOptions::spec() const {
  RoutingSpec result = parse_routing(routing);
  result.seed = seed;
  return result;
}

void add_routing_options(CLI::App& verb, RoutingOptions& options) {
  verb.add_option("--routing", options.routing, "how tokens spread over experts: uniform, or zipf:A (popularity 1/rank^A)")
      ->capture_default_str();
  verb.add_option("--seed", options.seed, "seed of everything random")->capture_default_str();
}

std::vector<std::filesystem::path> DatabaseOptions::paths() const {
  if (!path.empty()) return {path};
  return database_paths();
}

void add_database_options(CLI::App& verb, DatabaseOptions& options) {
  verb.add_option("--db", options.path, "database file (default: MOE_TUNE_DB, else db.json in the cache folder)");
}

void add_device_option(CLI::App& verb, std::string& device) {
  std::string keys;
  for (const DeviceDescription& known : known_devices()) keys += (keys.empty() ? "" : ", ") + known.key;
  verb.add_option("--device", device, "a GPU that need not be here: " + keys + " (default: the GPU of this machine)");
}

}  // namespace moe_tune::cli
