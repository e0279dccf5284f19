// moe-tune verify: chosen or given configs against the float32 reference on ragged shapes.
#include <fmt/format.h>

#include "runtime/tune/tokens.hpp"
#include "tools/chooser.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/interrupt.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"
#include "tools/progress.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Runs kernels into poisoned outputs and compares every row with a float32 reference that shares no code with them: few and "
    "many\n"
    "tokens, even and skewed routing, experts without rows. Exits with 1 when a case fails. Needs a GPU.\n"
    "\n"
    "Examples:\n"
    "  moe-tune verify --model qwen3-30b-a3b\n"
    "  moe-tune verify --model ./config.json --gemm down --config sm80_64x128x64_w4m2_s4_c2_mfast --tokens 1,129";

constexpr const char* default_token_counts = "1,3,17,64,129,1024";
constexpr const char* routings[] = {"uniform", "zipf:1.5"};

struct VerifyFlags {
  ModelOptions model;
  DatabaseOptions database;
  OutputOptions output;
  std::string tokens = default_token_counts;
  std::vector<std::string> configs;
  std::uint64_t seed = 1;
  int ordinal = 0;
};

std::vector<KernelConfigForward> configs_for(const VerifyFlags& flags, const Chooser& chooser, const Problem& problem,
                                             int tokens) {
  if (flags.configs.empty()) return {chooser.choose(problem, tokens).config};
  std::vector<KernelConfigForward> configs;
  for (const std::string& name : flags.configs) configs.push_back(parse_config(name));
  return configs;
}

int verify(const VerifyFlags& flags) {
  const std::vector<int> counts = parse_tokens(flags.tokens);
  const std::vector<Problem> problems = flags.model.problems();
  const Chooser chooser(require_gpu("verify", flags.ordinal), flags.database.paths());
  WorkerBenchOptions options = own_workers();
  options.ordinal = flags.ordinal;
  options.seed = flags.seed;
  options.cancel = &catch_interrupts();
  WorkerBench workers(options);
  Progress progress(flags.output.quiet);
  Table table({{"gemm"}, {"tokens"}, {"routing"}, {"config"}, {"result"}, {"max_rel_err", 5}, {"message"}});
  bool all_right = true;
  for (const Problem& problem : problems) {
    for (const int tokens : counts) {
      for (const char* routing : routings) {
        progress.update(fmt::format("{}, {} tokens, {}", to_string(problem.gemm), tokens, routing));
        RoutingSpec spec = parse_routing(routing);
        spec.seed = flags.seed;
        workers.set_up({problem, tokens, spec, flags.seed});
        for (const KernelConfigForward& config : configs_for(flags, chooser, problem, tokens)) {
          const VerifyOutcome outcome = workers.verify(config);
          all_right = all_right && outcome.status == AttemptStatus::verified;
          table.add_row({std::string(to_string(problem.gemm)), std::int64_t{tokens}, std::string(routing), to_string(config),
                         std::string(to_string(outcome.status)), outcome.verification.max_rel_err, outcome.message});
        }
      }
    }
  }
  print(table, flags.output);
  return all_right ? exit_ok : exit_failed;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  auto [verb, flags] = add_verb<VerifyFlags>(app, action, "verify", "check kernels against the reference", examples, verify);
  add_model_options(*verb, flags->model, GemmFlag::optional);
  verb->add_option("--tokens", flags->tokens, "token counts: a list 1,16,512 or a range LO:HI")->capture_default_str();
  verb->add_option("--config", flags->configs, "names of the configs to check (default: the chosen ones)")->delimiter(',');
  verb->add_option("--devices", flags->ordinal, "number of the GPU")->check(CLI::NonNegativeNumber)->capture_default_str();
  verb->add_option("--seed", flags->seed, "seed of data and routing")->capture_default_str();
  add_database_options(*verb, flags->database);
  add_output_options(*verb, flags->output);
}

}  // namespace moe_tune::cli
