// moe-tune emit: the source of one kernel.
#include "generator/emit.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "generator/device.hpp"
#include "generator/heuristics.hpp"
#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/arguments.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/options.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Prints one CUDA file that includes nothing: nvcc and NVRTC compile it as it is, for the architectures in its\n"
    "second line. The same flags give the same bytes.\n"
    "\n"
    "Examples:\n"
    "  moe-tune emit --model qwen3-30b-a3b --gemm gate_up > kernel.cu && nvcc -arch=sm_90a -cubin kernel.cu\n"
    "  moe-tune emit --model qwen3-30b-a3b --gemm down --config sm80_64x128x64_w4m2_s4_c2_mfast -o kernel.cu\n"
    "  moe-tune emit --model ./config.json --gemm gate_up --fuse swiglu --set BLOCK_M=96,stages=5";

struct EmitOptions {
  ModelOptions model;
  std::string device = "h200";
  int tokens = 1024;
  std::string config;
  std::string settings;
  std::string output;
};

int emit(const EmitOptions& options) {
  const Problem problem = options.model.problems().front();
  KernelConfig config = options.config.empty() ? default_config(problem, options.tokens, find_device(options.device))
                                               : parse_config(options.config);
  if (!options.settings.empty()) config = apply_settings(config, options.settings);
  const std::string source = emit_kernel(problem, config);
  if (!options.output.empty()) {
    write_file_atomic(options.output, source);
  } else if (std::fwrite(source.data(), 1, source.size(), stdout) != source.size() || std::fflush(stdout) != 0) {
    throw EnvironmentError(fmt::format("standard output: {}", std::strerror(errno)));
  }
  return exit_ok;
}

}  // namespace

void add_emit(CLI::App& app, Action& action) {
  auto [verb, options] = add_verb<EmitOptions>(app, action, "emit", "print the CUDA source of one kernel", examples, emit);
  add_model_options(*verb, options->model, GemmFlag::required);
  verb->add_option("--config", options->config, "name of a config (default: the heuristic one for --tokens on --device)");
  verb->add_option("--tokens", options->tokens, "token count of the heuristic config")
      ->check(CLI::Range(1, max_tuned_tokens))
      ->capture_default_str();
  verb->add_option("--device", options->device, "device of the heuristic config")->capture_default_str();
  verb->add_option("--set", options->settings, "change fields of the config: FIELD=VALUE,...");
  verb->add_option("-o,--output", options->output, "write this file instead of standard output");
}

}  // namespace moe_tune::cli
