// moe-tune explain: every step of a lookup, also those after the one that decided.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "generator/heuristics.hpp"
#include "generator/model.hpp"
#include "generator/routing.hpp"
#include "generator/support/log.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/chooser.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"
#include "tools/units.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Prints the steps of the lookup in their order; the first that answers is the choice. predicted_us is what the analytic "
    "model\n"
    "expects of each step's config, measured_us what the entry says.\n"
    "\n"
    "Examples:\n"
    "  moe-tune explain --model qwen3-30b-a3b --gemm gate_up --tokens 64\n"
    "  moe-tune explain --model qwen3-30b-a3b --gemm down --tokens 100 --device h200 --routing zipf:1.1";

struct ExplainOptions {
  ModelOptions model;
  RoutingOptions routing;
  DatabaseOptions database;
  OutputOptions output;
  std::string device;
  int tokens = 0;
};

/// One step: its answer, or why it has none.
struct Step {
  std::string name;
  std::optional<Choice> choice;
  std::string why_not;
};

/// The entries for which `keep` holds.
std::vector<Entry> filtered(const std::vector<Entry>& entries, const std::function<bool(const Entry&)>& keep) {
  std::vector<Entry> kept;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(kept), keep);
  return kept;
}

Step database_step(const Chooser& chooser, const Problem& problem, int tokens, std::string name, std::string why_not,
                   const std::function<bool(const Entry&)>& keep) {
  Choice choice = chooser.choose_from(filtered(chooser.entries(), keep), problem, tokens);
  if (choice.grade == Grade::heuristic) return {std::move(name), std::nullopt, std::move(why_not)};
  return {std::move(name), std::move(choice), ""};
}

Step override_step(const Chooser& chooser, const Problem& problem, int tokens) {
  if (!chooser.override_file()) return {"override", std::nullopt, "MOE_TUNE_OVERRIDE is not set"};
  Choice choice = chooser.choose(problem, tokens);
  if (choice.grade == Grade::override_file) return {"override", std::move(choice), ""};
  return {"override", std::nullopt,
          fmt::format("{} says nothing about {}", chooser.override_file()->source, gemm_label(problem))};
}

std::vector<Step> steps_of(const Chooser& chooser, const Problem& problem, int tokens) {
  const std::string& device = chooser.target().env.key.name;
  std::vector<Step> steps;
  steps.push_back(override_step(chooser, problem, tokens));
  steps.push_back(database_step(chooser, problem, tokens, "exact",
                                fmt::format("no entry measured on {} has a range that holds {} tokens", device, tokens),
                                [&](const Entry& e) { return is_measured(e) && e.tokens.holds(tokens); }));
  steps.push_back(database_step(chooser, problem, tokens, "nearest",
                                fmt::format("no other entry measured on {} is within 2x of {} tokens", device, tokens),
                                [&](const Entry& e) { return is_measured(e) && !e.tokens.holds(tokens); }));
  steps.push_back(database_step(chooser, problem, tokens, "predicted",
                                fmt::format("no predicted entry for {} near {} tokens", device, tokens),
                                [](const Entry& e) { return !is_measured(e); }));
  steps.push_back({"heuristic", chooser.choose_from({}, problem, tokens), ""});
  steps.back().choice->why = "the default: by rows per expert and the limits of the device";
  return steps;
}

int explain(const ExplainOptions& options) {
  const Chooser chooser(find_target(options.device, 0), options.database.paths());
  const DeviceDescription& device = chooser.target().device;
  Table table({{"op"},
               {"gemm"},
               {"step"},
               {"chosen"},
               {"config"},
               {"predicted_us"},
               {"measured_us"},
               {"roofline_us"},
               {"why"},
               {"tokens", 0, true},
               {"bound", 0, true},
               {"stale", 0, true}});
  for (const Problem& problem : options.model.problems()) {
    const RoutedRows rows = route(options.routing.spec(), options.tokens, problem.E, problem.top_k);
    bool decided = false;
    for (const Step& step : steps_of(chooser, problem, options.tokens)) {
      const bool chosen = !decided && step.choice.has_value();
      decided = decided || chosen;
      std::vector<Value> row = {std::string(to_string(problem.op)), std::string(to_string(problem.gemm)), step.name,
                                std::string(chosen ? "*" : "")};
      if (step.choice) {
        const Choice& choice = *step.choice;
        const Prediction prediction = predict(problem, choice.config, rows.m_sizes, device);
        const bool measured = choice.entry && is_measured(*choice.entry);
        row.insert(row.end(), {to_string(choice.config), prediction.total, measured ? Value(choice.entry->time.median) : Value(),
                               roofline_us(problem, rows.m_sizes, device), choice.why, std::int64_t{options.tokens},
                               prediction.bound(), choice.stale});
        if (chosen && choice.stale && !options.output.quiet) log_line(LogLevel::warn, choice.warning);
      } else {
        row.insert(row.end(), {Value(), Value(), Value(), Value(), step.why_not, std::int64_t{options.tokens}, Value(), Value()});
      }
      table.add_row(std::move(row));
    }
  }
  print(table, options.output);
  return exit_ok;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  auto [verb, options] = add_verb<ExplainOptions>(app, action, "explain", "print why a config is chosen", examples, explain);
  add_model_options(*verb, options->model, GemmFlag::optional);
  verb->add_option("--tokens", options->tokens, "token count")->required()->check(CLI::Range(1, max_tuned_tokens));
  add_device_option(*verb, options->device);
  add_routing_options(*verb, options->routing);
  add_database_options(*verb, options->database);
  add_output_options(*verb, options->output);
}

}  // namespace moe_tune::cli
