// moe-tune list-configs: the config space, ranked by the analytic model; or what is not in it, with reasons.
#include <algorithm>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/model.hpp"
#include "generator/routing.hpp"
#include "runtime/tune/tokens.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/machine.hpp"
#include "tools/options.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Lists every config that can serve a GEMM on a device, fastest predicted first. Times are the analytic model's.\n"
    "\n"
    "Examples:\n"
    "  moe-tune list-configs --model qwen3-30b-a3b --gemm gate_up --device h200 --tokens 64 --limit 10\n"
    "  moe-tune list-configs --model qwen3-30b-a3b --gemm down --device a100 --rejected --format csv > why_not.csv";

struct ListOptions {
  ModelOptions model;
  RoutingOptions routing;
  OutputOptions output;
  std::string device;
  int tokens = 1024;
  int limit = 0;
  bool rejected = false;
};

std::size_t shown_rows(std::size_t rows, int limit) {
  return limit == 0 ? rows : std::min(rows, static_cast<std::size_t>(limit));
}

void add_field_columns(std::vector<Column>& columns) {
  for (const ConfigField& field : config_fields()) columns.push_back({std::string(field.name), 0, true});
}

void add_field_values(std::vector<Value>& row, const KernelConfig& config) {
  for (const ConfigField& field : config_fields()) {
    row.push_back(field.spelling.empty() ? Value(std::int64_t{field.get(config)}) : Value(field_text(field, config)));
  }
}

Table space_table(const ListOptions& options, const DeviceDescription& device) {
  std::vector<Column> columns = {{"op"},       {"gemm"},       {"rank"},         {"config"},   {"predicted_us"},
                                 {"bound"},    {"compute_us"}, {"memory_us"},    {"fixed_us"}, {"tiles", 0},
                                 {"waves", 2}, {"smem_bytes"}, {"regs_at_least"}};
  add_field_columns(columns);
  Table table(std::move(columns));
  for (const Problem& problem : options.model.problems()) {
    const RoutedRows rows = route(options.routing.spec(), options.tokens, problem.E, problem.top_k);
    const auto ranked = rank(problem, config_space(problem, device), rows.m_sizes, device);
    for (std::size_t i = 0; i < shown_rows(ranked.size(), options.limit); ++i) {
      const auto& [config, prediction] = ranked[i];
      std::vector<Value> row = {std::string(to_string(problem.op)),
                                std::string(to_string(problem.gemm)),
                                static_cast<std::int64_t>(i + 1),
                                to_string(config),
                                prediction.total,
                                prediction.bound(),
                                prediction.compute,
                                prediction.memory,
                                prediction.fixed,
                                prediction.tiles,
                                prediction.waves,
                                std::int64_t{shared_memory_bytes(problem, config)},
                                std::int64_t{register_estimate(problem, config)}};
      add_field_values(row, config);
      table.add_row(std::move(row));
    }
  }
  return table;
}

Table rejected_table(const ListOptions& options, const DeviceDescription& device) {
  std::vector<Column> columns = {{"op"}, {"gemm"}, {"config"}, {"reason"}};
  add_field_columns(columns);
  Table table(std::move(columns));
  for (const Problem& problem : options.model.problems()) {
    const auto rejected = rejected_configs(problem, device);
    for (std::size_t i = 0; i < shown_rows(rejected.size(), options.limit); ++i) {
      std::vector<Value> row = {std::string(to_string(problem.op)), std::string(to_string(problem.gemm)),
                                to_string(rejected[i].config), rejected[i].reason};
      add_field_values(row, rejected[i].config);
      table.add_row(std::move(row));
    }
  }
  return table;
}

int list_configs(const ListOptions& options) {
  const Target target = find_target(options.device, 0);
  print(options.rejected ? rejected_table(options, target.device) : space_table(options, target.device), options.output);
  return exit_ok;
}

}  // namespace

void add_list_configs(CLI::App& app, Action& action) {
  auto [verb, options] = add_verb<ListOptions>(app, action, "list-configs", "list the configs of a GEMM, ranked by the model",
                                               examples, list_configs);
  add_model_options(*verb, options->model, GemmFlag::optional);
  add_device_option(*verb, options->device);
  verb->add_option("--tokens", options->tokens, "token count to predict for")
      ->check(CLI::Range(1, max_tuned_tokens))
      ->capture_default_str();
  add_routing_options(*verb, options->routing);
  verb->add_flag("--rejected", options->rejected, "list what is not in the space instead, each with the reason");
  verb->add_option("--limit", options->limit, "print at most this many per GEMM (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_output_options(*verb, options->output);
}

}  // namespace moe_tune::cli
