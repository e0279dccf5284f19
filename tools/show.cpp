// moe-tune show: what the databases hold.
#include <fmt/format.h>

#include <algorithm>

#include "generator/support/log.hpp"
#include "tools/commands.hpp"
#include "tools/exit_code.hpp"
#include "tools/options.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune::cli {

namespace {

constexpr const char* examples =
    "Examples:\n"
    "  moe-tune show\n"
    "  moe-tune show --model qwen3-30b-a3b --gemm down --format csv\n"
    "  moe-tune show --db team.json";

struct ShowOptions {
  ModelOptions model;
  DatabaseOptions database;
  OutputOptions output;
};

std::vector<Value> row_of(const Entry& e) {
  const Problem& p = e.problem;
  return {std::string(to_string(p.op)),
          std::string(to_string(p.gemm)),
          std::int64_t{p.E},
          std::int64_t{p.N},
          std::int64_t{p.K},
          std::int64_t{p.top_k},
          std::string(to_string(p.dtype)),
          e.env.key.name,
          e.tokens.lo,
          e.tokens.hi,
          to_string(e.config),
          e.time.median,
          e.baseline ? Value(e.baseline->speedup) : Value(),
          std::string(to_string(e.source)),
          std::string(to_string(e.verify.status)),
          e.date,
          e.tokens.measured,
          p.permute_x,
          p.permute_y,
          p.fuse_mul_post,
          p.fuse_mul_pre,
          p.fuse_swiglu,
          p.keep_pre_activation,
          std::string(to_string(e.routing.kind)),
          optional_value(e.routing.alpha),
          e.time.ci95[0],
          e.time.ci95[1],
          std::int64_t{e.time.n},
          e.baseline ? Value(to_string(e.baseline->config)) : Value(),
          std::int64_t{e.resources.regs},
          e.resources.smem,
          std::int64_t{e.resources.ctas_per_sm},
          e.env.driver,
          e.env.nvrtc,
          e.gen.version,
          e.search.stop,
          e.verify.status == VerifyStatus::not_run ? Value() : Value(std::string(to_string(e.verify.device)))};
}

int show(const ShowOptions& options) {
  const auto paths = options.database.paths();
  const Database database = read_databases(paths);
  for (const std::string& damage : database.damage) log_line(LogLevel::warn, damage);
  Table table({{"op"},
               {"gemm"},
               {"E"},
               {"N"},
               {"K"},
               {"top_k"},
               {"dtype"},
               {"device"},
               {"tokens_from"},
               {"tokens_to"},
               {"config"},
               {"us"},
               {"speedup", 2},
               {"source"},
               {"verify"},
               {"date"},
               {"tokens_measured", 0, true},
               {"permute_x", 0, true},
               {"permute_y", 0, true},
               {"fuse_mul_post", 0, true},
               {"fuse_mul_pre", 0, true},
               {"fuse_swiglu", 0, true},
               {"keep_pre_activation", 0, true},
               {"routing", 0, true},
               {"routing_alpha", 0, true},
               {"us_ci95_from", 0, true},
               {"us_ci95_to", 0, true},
               {"samples", 0, true},
               {"default_config", 0, true},
               {"registers", 0, true},
               {"smem_bytes", 0, true},
               {"ctas_per_sm", 0, true},
               {"driver", 0, true},
               {"nvrtc", 0, true},
               {"generator", 0, true},
               {"stopped_because", 0, true},
               {"verified_on", 0, true}});
  const std::vector<Problem> wanted = options.model.model.empty() ? std::vector<Problem>() : options.model.problems();
  for (const Entry& entry : database.entries) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), entry.problem) != wanted.end()) table.add_row(row_of(entry));
  }
  if (table.empty() && !options.output.quiet) {
    std::string names;
    for (const auto& path : paths) names += fmt::format("{}{}", names.empty() ? "" : ", ", path.string());
    log_line(LogLevel::warn, fmt::format("no entries in {}; moe-tune tune makes some", names));
  }
  print(table, options.output);
  return exit_ok;
}

}  // namespace

void add_show(CLI::App& app, Action& action) {
  auto [verb, options] = add_verb<ShowOptions>(app, action, "show", "print the entries of the tuning database", examples, show);
  add_model_options(*verb, options->model, GemmFlag::optional);
  verb->get_option("--model")->required(false);
  verb->get_option("--gemm")->needs(verb->get_option("--model"));
  add_database_options(*verb, options->database);
  add_output_options(*verb, options->output);
}

}  // namespace moe_tune::cli
