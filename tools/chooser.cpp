#include "tools/chooser.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "generator/config_space.hpp"
#include "generator/constraints.hpp"
#include "generator/emit.hpp"
#include "generator/heuristics.hpp"
#include "generator/support/log.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune::cli {

Chooser::Chooser(Target target, const std::vector<std::filesystem::path>& databases) : target_(std::move(target)) {
  Database database = read_databases(databases);
  for (const std::string& damage : database.damage) log_line(LogLevel::warn, damage);
  entries_ = std::move(database.entries);
  if (const char* file = std::getenv("MOE_TUNE_OVERRIDE"); file != nullptr && *file != '\0') {
    override_ = read_override(file);
    for (const std::string& note : override_->notes) log_line(LogLevel::info, note);
  }
}

LookupRequest Chooser::request(const Problem& problem) const {
  LookupRequest request;
  request.problem = problem;
  request.device = target_.env.key;
  request.source_hashes = source_hashes(problem.op);
  request.nvrtc = target_.env.nvrtc;
  request.heuristic = [this, problem](std::int64_t tokens) { return default_config(problem, tokens, target_.device); };
  request.in_space = [this, problem](const KernelConfig& config) { return in_config_space(problem, config, target_.device); };
  return request;
}

Choice Chooser::choose(const Problem& problem, std::int64_t tokens) const {
  LookupRequest with_override = request(problem);
  if (override_) with_override.override_file = &*override_;
  Choice choice = lookup(entries_, with_override, tokens);
  if (choice.grade == Grade::override_file) {
    if (const auto reason = reject(problem, choice.config, target_.device)) {
      throw UsageError(
          fmt::format("{}: {} cannot serve {}: {}", choice.why, to_string(choice.config), describe(problem), *reason));
    }
  }
  return choice;
}

Choice Chooser::choose_from(const std::vector<Entry>& entries, const Problem& problem, std::int64_t tokens) const {
  return lookup(entries, request(problem), tokens);
}

}  // namespace moe_tune::cli
