#include "runtime/ops/library_entries.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "generator/support/log.hpp"
#include "tuning_db/lookup.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune {

LibraryEntries::LibraryEntries(std::vector<std::filesystem::path> databases, std::shared_ptr<OnlineTuner> tuner)
    : databases_(std::move(databases)), tuner_(std::move(tuner)) {
  read();
}

std::shared_ptr<const std::vector<Entry>> LibraryEntries::get() const {
  const std::lock_guard lock(reading_);
  return entries_;
}

void LibraryEntries::read() {
  Database database = read_databases(databases_);
  for (const std::string& damage : database.damage) log_line(LogLevel::warn, damage);
  auto entries = std::make_shared<const std::vector<Entry>>(std::move(database.entries));
  const std::lock_guard lock(reading_);
  entries_ = std::move(entries);
}

void LibraryEntries::tune(const Problem& problem, int device, std::int64_t tokens, const std::function<bool()>& missing) {
  const std::lock_guard lock(turn_);
  if (!missing()) return;
  const std::int64_t at = heuristic_tokens(tokens);
  if (!asked_.insert({problem, device, at}).second) return;
  log_line(LogLevel::info, fmt::format("{}, {} tokens: not measured yet on device {}; tuning", describe(problem), at, device));
  try {
    tuner_->tune(problem, device, at, databases_.front());
    read();
    if (missing()) {
      log_line(LogLevel::warn,
               fmt::format("{}, {} tokens: the tuner published nothing that serves; the default does", describe(problem), at));
    }
  } catch (const std::exception& error) {
    log_line(LogLevel::warn,
             fmt::format("{}, {} tokens: tuning failed, the default serves: {}", describe(problem), at, error.what()));
  }
}

}  // namespace moe_tune
