// moe-tune lookup: what the library would use, and the grade of its reason.
#include "tuning_db/lookup.hpp"

#include <set>

#include "generator/support/log.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/chooser.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Grades, best first: override (MOE_TUNE_OVERRIDE), exact (measured for a range that holds the token count), nearest "
    "(measured\n"
    "within 2x of it), predicted (by the analytic model), heuristic (the default). A name with _stale is of an older generator "
    "or\n"
    "compiler.\n"
    "\n"
    "Examples:\n"
    "  moe-tune lookup --model qwen3-30b-a3b --tokens 64\n"
    "  moe-tune lookup --model qwen3-30b-a3b --gemm down --tokens 1:8192 --device h200 --format json";

struct LookupOptions {
  ModelOptions model;
  DatabaseOptions database;
  OutputOptions output;
  std::string device;
  std::string tokens;
};

int lookup_verb(const LookupOptions& options) {
  const std::vector<int> tokens = parse_tokens(options.tokens);
  const std::vector<Problem> problems = options.model.problems();
  const Chooser chooser(find_target(options.device, 0), options.database.paths());
  Table table({{"op"}, {"gemm"}, {"tokens"}, {"config"}, {"grade"}, {"why"}, {"stale", 0, true}});
  std::set<std::string> warnings;
  for (const Problem& problem : problems) {
    for (const int count : tokens) {
      const Choice choice = chooser.choose(problem, count);
      if (choice.stale) warnings.insert(choice.warning);
      table.add_row({std::string(to_string(problem.op)), std::string(to_string(problem.gemm)), std::int64_t{count},
                     to_string(choice.config), std::string(to_string(choice.grade)), choice.why, choice.stale});
    }
  }
  if (!options.output.quiet) {
    for (const std::string& warning : warnings) log_line(LogLevel::warn, warning);
  }
  print(table, options.output);
  return exit_ok;
}

}  // namespace

void add_lookup(CLI::App& app, Action& action) {
  auto [verb, options] =
      add_verb<LookupOptions>(app, action, "lookup", "print the config that the library would use", examples, lookup_verb);
  add_model_options(*verb, options->model, GemmFlag::optional);
  verb->add_option("--tokens", options->tokens, "token counts: a list 1,16,512 or a range LO:HI")->required();
  add_device_option(*verb, options->device);
  add_database_options(*verb, options->database);
  add_output_options(*verb, options->output);
}

}  // namespace moe_tune::cli
