// moe-tune verify: chosen or given configs against the float32 reference on ragged shapes.
#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "moe_tune/error.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/chooser.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/interrupt.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"
#include "tools/progress.hpp"
#include "tools/units.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Runs kernels into poisoned outputs and compares every row with a float32 reference that shares no code with them: few and "
    "many\n"
    "tokens, even and skewed routing, experts without rows. Exits with 1 when a case fails.\n"
    "With --device emulator it needs no GPU but a C++ compiler (and no CUDA if --config is given): the emitted source runs on "
    "an\n"
    "emulated device, under several schedules that the hardware would allow too, and is checked for races, accesses out of\n"
    "bounds, misused instructions and deadlocks as well. A case is then wrong (values), a fault (what the report says), hung or\n"
    "crashed.\n"
    "\n"
    "Examples:\n"
    "  moe-tune verify --model qwen3-30b-a3b\n"
    "  moe-tune verify --model ./config.json --gemm down --config sm80_64x128x64_w4m2_s4_c2_mfast --tokens 1,129\n"
    "  moe-tune verify --model qwen3-30b-a3b --device emulator --gemm down --tokens 3";

constexpr const char* default_token_counts = "1,3,17,64,129,1024";
constexpr const char* emulated_token_counts = "1,3,17";  // K and N are the model's: an emulated launch takes seconds
constexpr const char* default_chosen_for = "h200";
constexpr const char* routings[] = {"uniform", "zipf:1.5"};

struct VerifyFlags {
  ModelOptions model;
  DatabaseOptions database;
  OutputOptions output;
  std::string device;
  std::optional<std::string> chosen_for;
  std::string tokens;
  std::vector<std::string> configs;
  std::uint64_t seed = 1;
  std::optional<int> schedules;
  std::optional<int> experts;
  int ordinal = 0;

  bool emulated() const { return device == emulator_name; }
};

WorkerBenchOptions bench_options(const VerifyFlags& flags) {
  WorkerBenchOptions options = own_workers();
  options.place.device = flags.emulated() ? DeviceKind::emulator : DeviceKind::gpu;
  options.place.ordinal = flags.ordinal;
  options.place.schedules = flags.schedules.value_or(Place{}.schedules);
  options.place.experts = flags.experts.value_or(Place{}.experts);
  options.seed = flags.seed;
  options.cancel = &catch_interrupts();
  return options;
}

/// The configs of a case: those given, or the one that the library would use.
class Configs {
 public:
  explicit Configs(const VerifyFlags& flags) {
    for (const std::string& name : flags.configs) given_.push_back(parse_config(name));
    if (!flags.emulated()) {
      Target gpu = require_gpu("verify", flags.device, flags.ordinal, "On the emulated device it needs none: --device emulator");
      chooser_.emplace(std::move(gpu), flags.database.paths());
    } else if (given_.empty()) {
      chooser_.emplace(find_target(flags.chosen_for.value_or(default_chosen_for), flags.ordinal), flags.database.paths());
    }
  }

  std::vector<KernelConfig> of(const Problem& problem, int tokens) const {
    return given_.empty() ? std::vector{chooser_->choose(problem, tokens).config} : given_;
  }

 private:
  std::vector<KernelConfig> given_;
  std::optional<Chooser> chooser_;
};

/// In a table the first line stands for a report; then it goes to stderr as well.
std::string shown(const std::string& message, const VerifyFlags& flags) {
  return flags.output.format() == Format::table ? first_line(message) : message;
}

int verify(const VerifyFlags& flags) {
  if (!flags.emulated() && (flags.chosen_for || flags.schedules || flags.experts)) {
    throw UsageError("--for, --seeds and --experts say how the emulated device works: they need --device emulator");
  }
  const char* usual = flags.emulated() ? emulated_token_counts : default_token_counts;
  const std::vector<int> counts = parse_tokens(flags.tokens.empty() ? usual : flags.tokens);
  const std::vector<Problem> problems = flags.model.problems();
  const Configs configs(flags);
  WorkerBench workers(bench_options(flags));
  Progress progress(flags.output.quiet);
  Table table({{"op"}, {"gemm"}, {"tokens"}, {"routing"}, {"config"}, {"result"}, {"max_rel_err", 5}, {"message"}});
  std::vector<std::string> reports;
  bool all_right = true;
  for (const Problem& problem : problems) {
    for (const int tokens : counts) {
      for (const char* routing : routings) {
        progress.update(fmt::format("{}, {} tokens, {}", gemm_label(problem), tokens, routing));
        RoutingSpec spec = parse_routing(routing);
        spec.seed = flags.seed;
        workers.set_up({problem, tokens, spec, flags.seed});
        for (const KernelConfig& config : configs.of(problem, tokens)) {
          const VerifyOutcome outcome = workers.verify(config);
          all_right = all_right && outcome.status == AttemptStatus::verified;
          const bool compared = outcome.verification.status != VerifyStatus::not_run;
          table.add_row({std::string(to_string(problem.op)), std::string(to_string(problem.gemm)), std::int64_t{tokens},
                         std::string(routing), to_string(config), std::string(to_string(outcome.status)),
                         compared ? Value(outcome.verification.max_rel_err) : Value(), shown(outcome.message, flags)});
          if (first_line(outcome.message) != outcome.message) {
            reports.push_back(fmt::format("{}, {} tokens, {}, {}: {}: {}", gemm_label(problem), tokens, routing,
                                          to_string(config), to_string(outcome.status), outcome.message));
          }
        }
      }
    }
  }
  print(table, flags.output);
  for (const std::string& report : reports) fmt::print(stderr, "{}\n", report);
  return all_right ? exit_ok : exit_failed;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  auto [verb, flags] = add_verb<VerifyFlags>(app, action, "verify", "check kernels against the reference", examples, verify);
  add_model_options(*verb, flags->model, GemmFlag::optional);
  verb->add_option("--tokens", flags->tokens,
                   fmt::format("token counts: a list 1,16,512 or a range LO:HI (default: {}; on the emulated device {})",
                               default_token_counts, emulated_token_counts));
  verb->add_option("--config", flags->configs, "names of the configs to check (default: the chosen ones)")->delimiter(',');
  verb->add_option("--device", flags->device,
                   "emulator: run on the emulated device; else the GPU that must be there (default: "
                   "whatever is)");
  verb->add_option(
      "--for", flags->chosen_for,
      fmt::format("with --device emulator: the GPU whose configs are checked, unless --config gives them (default: {})",
                  default_chosen_for));
  verb->add_option(
          "--seeds", flags->schedules,
          fmt::format("with --device emulator: how many schedules every case runs under (default: {})", Place{}.schedules))
      ->check(CLI::Range(1, max_schedules));
  verb->add_option(
          "--experts", flags->experts,
          fmt::format("with --device emulator: share the rows among so many experts at most, the rest get none; every one "
                      "takes seconds (default: {})",
                      Place{}.experts))
      ->check(CLI::PositiveNumber);
  verb->add_option("--devices", flags->ordinal, "number of the GPU")->check(CLI::NonNegativeNumber)->capture_default_str();
  verb->add_option("--seed", flags->seed, "seed of data and routing")->capture_default_str();
  add_database_options(*verb, flags->database);
  add_output_options(*verb, flags->output);
}

}  // namespace moe_tune::cli
