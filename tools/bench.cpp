// moe-tune bench: times configs in random turns with the default.
#include <fmt/format.h>

#include <algorithm>

#include "generator/heuristics.hpp"
#include "generator/model.hpp"
#include "moe_tune/error.hpp"
#include "runtime/tune/statistics.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/bench_block.hpp"
#include "tools/chooser.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/interrupt.hpp"
#include "tools/machine.hpp"
#include "tools/online_tuning.hpp"
#include "tools/options.hpp"
#include "tools/progress.hpp"
#include "tools/units.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Times the config that the library would use, the given ones and the default, all in one process in random turns with a cold "
    "L2\n"
    "cache. speedup is the default's time over the config's. With --block it is a whole fused block, and each of its steps;\n"
    "with --backward each forward is followed by the backward of all gradients. Needs a GPU.\n"
    "\n"
    "Examples:\n"
    "  moe-tune bench --model qwen3-30b-a3b --tokens 1:8192\n"
    "  moe-tune bench --block qwen3 --model qwen3-30b-a3b --tokens 16,8192\n"
    "  moe-tune bench --block qwen3 --model qwen3-30b-a3b --tokens 8192 --backward\n"
    "  moe-tune bench --model qwen3-30b-a3b --gemm down --tokens 64 --config "
    "sm80_16x128x128_w4m1_s4_c2_mfast,sm80_32x128x64_w4m1_s4_c2_mfast";

struct BenchFlags {
  ModelOptions model;
  RoutingOptions routing;
  DatabaseOptions database;
  OutputOptions output;
  std::string device;
  std::string tokens;
  std::vector<std::string> configs;
  int rounds = 50;
  int ordinal = 0;
  bool backward = false;
};

/// A config and how it came into the race.
struct Contender {
  KernelConfig config;
  std::string origin;
};

/// The default first; every config once.
std::vector<Contender> contenders(const Chooser& chooser, const Problem& problem, int tokens,
                                  const std::vector<std::string>& given) {
  std::vector<Contender> all = {{default_config(problem, tokens, chooser.target().device), "default"}};
  const auto add = [&all](const KernelConfig& config, const std::string& origin) {
    const auto known = std::find_if(all.begin(), all.end(), [&](const Contender& c) { return c.config == config; });
    if (known == all.end()) {
      all.push_back({config, origin});
    } else {
      known->origin += ", " + origin;
    }
  };
  const Choice choice = chooser.choose(problem, tokens);
  add(choice.config, fmt::format("chosen ({})", to_string(choice.grade)));
  for (const std::string& name : given) add(parse_config(name), "given");
  return all;
}

std::vector<double> samples_of(const TimedRounds& timed, std::size_t config) {
  std::vector<double> samples;
  for (const auto& round : timed.rounds) samples.push_back(round[config]);
  return samples;
}

void add_rows(Table& table, const Problem& problem, int tokens, const std::vector<Contender>& race, const TimedRounds& timed,
              const std::vector<int>& m_sizes, const DeviceDescription& device) {
  const std::vector<double> of_default = samples_of(timed, 0);
  for (std::size_t i = 0; i < race.size(); ++i) {
    const std::vector<double> samples = samples_of(timed, i);
    const Estimate time = estimate_median(samples);
    const Estimate speedup = estimate_ratio(of_default, samples);
    table.add_row({std::string(to_string(problem.op)), std::string(to_string(problem.gemm)), std::int64_t{tokens},
                   to_string(race[i].config), race[i].origin, time.median, flops(problem, m_sizes) / time.median * 1e-6,
                   minimum_bytes(problem, m_sizes) / time.median * 1e-3,
                   100 * roofline_us(problem, m_sizes, device) / time.median, speedup.median, time.ci95.lo, time.ci95.hi,
                   speedup.ci95.lo, speedup.ci95.hi, static_cast<std::int64_t>(samples.size()), std::int64_t{timed.discarded},
                   std::int64_t{timed.sm_mhz}});
  }
}

/// --block: the whole of it.
int bench_whole_block(const BenchFlags& flags, const std::vector<int>& counts) {
  if (!flags.configs.empty()) throw UsageError("bench --block times the configs that the library chooses: leave --config out");
  if (flags.routing.routing != RoutingOptions().routing)
    throw UsageError("bench --block routes by its own router: leave --routing out");
  const ModelOptions defaults;
  if (flags.model.gemm != defaults.gemm || flags.model.ops != defaults.ops || flags.model.fusions != defaults.fusions) {
    throw UsageError("bench --block times a whole block (--backward: and its gradients): leave --gemm, --op and --fuse out");
  }
  BlockBench options;
  options.model = flags.model.shape();
  require_gpu("bench", flags.device, flags.ordinal);
  const auto& unpermuted = flags.model.unpermuted;
  const auto keeps = [&](const char* name) { return std::find(unpermuted.begin(), unpermuted.end(), name) == unpermuted.end(); };
  options.dtype = parse_dtype(flags.model.dtype);
  options.tokens = counts;
  options.library = library_options(flags.database);
  options.ordinal = flags.ordinal;
  options.rounds = flags.rounds;
  options.seed = flags.routing.seed;
  if (!keeps("permute_x")) options.block.permute_x = false;
  options.block.permute_y = keeps("permute_y");
  options.backward = flags.backward;
  print(bench_block(options), flags.output);
  return exit_ok;
}

int bench(const BenchFlags& flags) {
  const auto counts =
      flags.tokens.empty() ? std::vector<int>(default_tokens().begin(), default_tokens().end()) : parse_tokens(flags.tokens);
  if (flags.model.block) return bench_whole_block(flags, counts);
  if (flags.backward)
    throw UsageError("bench --backward is of a whole block: give --block too, or time GEMMs of gradients with --op dX,dW");
  const std::vector<Problem> problems = flags.model.problems();
  const Chooser chooser(require_gpu("bench", flags.device, flags.ordinal), flags.database.paths());
  WorkerBenchOptions options = own_workers();
  options.place.ordinal = flags.ordinal;
  options.seed = flags.routing.seed;
  options.cancel = &catch_interrupts();
  WorkerBench workers(options);
  Progress progress(flags.output.quiet);
  Table table({{"op"},
               {"gemm"},
               {"tokens"},
               {"config"},
               {"origin"},
               {"us"},
               {"TFLOP/s"},
               {"GB/s", 0},
               {"roofline_pct", 0},
               {"speedup", 2},
               {"us_ci95_from", 0, true},
               {"us_ci95_to", 0, true},
               {"speedup_ci95_from", 0, true},
               {"speedup_ci95_to", 0, true},
               {"samples", 0, true},
               {"discarded", 0, true},
               {"sm_mhz", 0, true}});
  for (const Problem& problem : problems) {
    for (const int tokens : counts) {
      progress.update(fmt::format("{}, {} tokens", gemm_label(problem), tokens));
      const std::vector<Contender> race = contenders(chooser, problem, tokens, flags.configs);
      std::vector<KernelConfig> configs;
      for (const Contender& contender : race) configs.push_back(contender.config);
      workers.set_up({problem, tokens, flags.routing.spec(), flags.routing.seed});
      const TimeOutcome outcome = workers.time(configs, flags.rounds);
      if (outcome.culprit >= 0 || outcome.status != AttemptStatus::timed) {
        throw EnvironmentError(fmt::format("{} at {} tokens {}: {}",
                                           outcome.culprit >= 0 ? to_string(configs[outcome.culprit]) : "bench", tokens,
                                           to_string(outcome.status), outcome.message));
      }
      const RoutedRows rows = route(flags.routing.spec(), tokens, problem.E, problem.top_k);
      add_rows(table, problem, tokens, race, outcome.timed, rows.m_sizes, chooser.target().device);
    }
  }
  print(table, flags.output);
  return exit_ok;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto [verb, flags] = add_verb<BenchFlags>(app, action, "bench", "time configs on the GPU", examples, bench);
  add_model_options(*verb, flags->model, GemmFlag::optional);
  verb->add_flag("--backward", flags->backward, "with --block: the backward of all gradients after each forward");
  verb->add_option("--tokens", flags->tokens,
                   fmt::format("token counts: a list 1,16,512 or a range LO:HI (default: {})", fmt::join(default_tokens(), ",")));
  verb->add_option("--config", flags->configs, "names of further configs, separated by ','")->delimiter(',');
  verb->add_option("--rounds", flags->rounds, "samples of every config")->check(CLI::Range(6, 100000))->capture_default_str();
  verb->add_option("--device", flags->device, "the GPU that must be there (default: whatever is)");
  verb->add_option("--devices", flags->ordinal, "number of the GPU")->check(CLI::NonNegativeNumber)->capture_default_str();
  add_routing_options(*verb, flags->routing);
  add_database_options(*verb, flags->database);
  add_output_options(*verb, flags->output);
}

}  // namespace moe_tune::cli
