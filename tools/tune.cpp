// moe-tune tune: plans, tunes, reports.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "moe_tune/error.hpp"
#include "runtime/tune/tokens.hpp"
#include "runtime/tune/tuner.hpp"
#include "runtime/tune/worker_bench.hpp"
#include "tools/arguments.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/interrupt.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"
#include "tools/tune_plan.hpp"
#include "tools/tune_progress.hpp"
#include "tools/tune_report.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Says first what it will do, then for every GEMM and token count: compiles the promising configs, checks each against a "
    "float32\n"
    "reference, times them in random turns with the default, and publishes the winner. Without a GPU it compiles and ranks by "
    "an\n"
    "analytic model for a named device, and checks the winner on an emulated device if there is a C++ compiler; such entries are "
    "marked\n"
    "predicted, and a measured one replaces them.\n"
    "Ctrl-C loses nothing: the same command goes on where it was.\n"
    "\n"
    "Examples:\n"
    "  moe-tune tune --model qwen3-30b-a3b\n"
    "  moe-tune tune --model qwen3-30b-a3b --tokens 1:8192 --routing zipf:1.1 --time 10:00\n"
    "  moe-tune tune --model ./config.json --gemm down --dry-run\n"
    "  moe-tune tune --model llama4-scout --device h100          on a machine without a GPU";

/// Where predicted winners are verified: under fewer schedules than moe-tune verify has.
constexpr Place emulated_place{.device = DeviceKind::emulator, .schedules = 2};

struct TuneFlags {
  ModelOptions model;
  RoutingOptions routing;
  DatabaseOptions database;
  OutputOptions output;
  std::string device;
  std::string tokens;
  std::string strategy = "model";
  std::string min_gain = "1%";
  std::string time;
  int ordinal = 0;
  int jobs = default_jobs();
  bool dry_run = false;
  bool retune = false;
};

TuneOptions tune_options(const TuneFlags& flags) {
  TuneOptions options;
  options.problems = flags.model.problems();
  const auto ladder = default_tokens();
  options.tokens = flags.tokens.empty() ? std::vector<int>(ladder.begin(), ladder.end()) : parse_tokens(flags.tokens);
  options.routing = flags.routing.spec();
  options.seed = flags.routing.seed;
  options.strategy = parse_strategy(flags.strategy);
  options.min_gain = parse_percent(flags.min_gain);
  options.time_budget = flags.time.empty() ? 0 : parse_time_limit(flags.time);
  options.retune = flags.retune;
  options.jobs = flags.jobs;
  options.database = flags.database.paths().front();
  options.cancel = &catch_interrupts();
  options.target = find_target(flags.device, flags.ordinal);
  return options;
}

WorkerBenchOptions bench_options(const TuneOptions& options) {
  WorkerBenchOptions bench = own_workers();
  bench.jobs = options.jobs;
  bench.place.ordinal = options.target.ordinal;
  if (!options.target.live) bench.place = emulated_place;
  bench.seed = options.seed;
  bench.cancel = options.cancel;
  return bench;
}

void say_plan(const TuneFlags& flags, const TuneOptions& options, const TunePlan& plan) {
  if (flags.output.quiet) return;
  std::fputs(plan_summary(options, plan).c_str(), stderr);
  if (!flags.dry_run) std::fputs(plan_table(plan).text(Format::table).c_str(), stderr);
}

int exit_code(const TuneResult& result) {
  if (result.cancelled) return exit_interrupted;
  if (!result.unpublished.empty()) return exit_environment;
  const auto failed = [](const PointResult& point) { return point.status == PointStatus::failed; };
  return std::any_of(result.points.begin(), result.points.end(), failed) ? exit_failed : exit_ok;
}

int tune_verb(const TuneFlags& flags) {
  const TuneOptions options = tune_options(flags);
  const TunePlan plan = make_plan(options);
  say_plan(flags, options, plan);
  if (flags.dry_run) print(plan_table(plan), flags.output);
  if (!plan.refusals.empty()) throw UsageError(fmt::format("this does not fit: {}", fmt::join(plan.refusals, "; ")));
  if (flags.dry_run) return exit_ok;

  TuneProgress progress(flags.output.quiet);
  WorkerBench bench(bench_options(options));
  const TuneResult result = tune(options, plan, bench, progress);
  print(tune_report(result), flags.output);
  if (result.cancelled && !flags.output.quiet) {
    std::fputs("moe-tune: interrupted; nothing is lost: the same command goes on from here\n", stderr);
  }
  if (!result.unpublished.empty()) fmt::print(stderr, "moe-tune: the database was not written: {}\n", result.unpublished);
  return exit_code(result);
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
  auto [verb, flags] = add_verb<TuneFlags>(app, action, "tune", "find the best configs for a model", examples, tune_verb);
  add_model_options(*verb, flags->model, GemmFlag::optional);
  verb->add_option("--tokens", flags->tokens,
                   fmt::format("token counts: a list 1,16,512 or a range LO:HI (default: {})", fmt::join(default_tokens(), ",")));
  add_device_option(*verb, flags->device);
  verb->add_option("--devices", flags->ordinal, "number of the GPU to measure on; run once per GPU to use several")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_routing_options(*verb, flags->routing);
  add_database_options(*verb, flags->database);
  verb->add_option("--strategy", flags->strategy, "candidates: the model's best, all, or blind ones")
      ->check(CLI::IsMember({"model", "exhaustive", "random"}))
      ->capture_default_str();
  verb->add_option("--min-gain", flags->min_gain, "keep the default unless the winner surely gains more")->capture_default_str();
  verb->add_option("--time", flags->time, "stop after MM:SS");
  verb->add_option("--jobs", flags->jobs, "parallel compilations")->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_flag("--retune", flags->retune, "also what earlier runs have decided");
  verb->add_flag("--dry-run", flags->dry_run, "stop after the plan");
  add_output_options(*verb, flags->output);
}

}  // namespace moe_tune::cli
