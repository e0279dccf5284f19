// The database as the verbs use it: what would the library choose, and why.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "runtime/tune/target.hpp"
#include "tuning_db/lookup.hpp"
#include "tuning_db/override.hpp"
#include "tuning_db/schema.hpp"

namespace moe_tune::cli {

/// The databases and the override file (MOE_TUNE_OVERRIDE), read once for a target. Warns of damaged records and ignored keys.
class Chooser {
 public:
  /// Throws as read_databases() and read_override() do.
  Chooser(Target target, const std::vector<std::filesystem::path>& databases);

  /// Throws UsageError when the override file's config cannot serve the problem on the target.
  Choice choose(const Problem& problem, std::int64_t tokens) const;

  /// The same with other entries, and with the override file left out: what would be chosen without it.
  Choice choose_from(const std::vector<Entry>& entries, const Problem& problem, std::int64_t tokens) const;

  const Target& target() const { return target_; }
  const std::vector<Entry>& entries() const { return entries_; }
  const std::optional<Override>& override_file() const { return override_; }

 private:
  LookupRequest request(const Problem& problem) const;

  Target target_;
  std::vector<Entry> entries_;
  std::optional<Override> override_;
};

}  // namespace moe_tune::cli
