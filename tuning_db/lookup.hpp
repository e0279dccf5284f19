// Which config to use, and why: override > measured for this range > measured nearby > predicted > heuristic.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tuning_db/override.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

/// How good the reason for a choice is, best first.
enum class Grade {
  override_file,  ///< a person said so
  exact,          ///< measured, the range holds T, same generator and compiler
  exact_stale,    ///< measured, the range holds T, by another generator or compiler
  nearest,        ///< measured within a factor of two of T
  nearest_stale,  ///< the same by another generator or compiler
  predicted,      ///< by the analytic model or imported
  heuristic,      ///< the default
};

std::string_view to_string(Grade grade);

/// The token count that stands for `tokens` where nothing is known near it: the next power of two.
int64_t heuristic_tokens(int64_t tokens);

struct LookupRequest {
  Problem problem;
  DeviceKey device;
  /// Of the generator today, by family; another one than that of its config's family makes an entry stale.
  std::array<std::string, family_count> source_hashes;
  std::string nvrtc;                        ///< version of the compiler today; the same
  const Override* override_file = nullptr;  ///< not owned; may be null
  /// The default for a token count. Asked at heuristic_tokens() only, so that a Ladder has few rungs.
  std::function<KernelConfig(int64_t tokens)> heuristic;
  /// Whether a config is in today's space of the problem. Entries whose config is not are passed over.
  std::function<bool(const KernelConfig&)> in_space;
};

struct Choice {
  KernelConfig config;
  Grade grade = Grade::heuristic;
  std::string why;             ///< one line for people
  bool stale = false;          ///< the entry comes from another generator or compiler
  std::string warning;         ///< not empty when stale: what is wrong and how to mend it
  std::optional<Entry> entry;  ///< the entry that decided, if one did

  bool operator==(const Choice&) const = default;
  /// The same config for the same reason, though it may be said in other words.
  bool decides_like(const Choice& other) const { return config == other.config && grade == other.grade && entry == other.entry; }
};

/// The config for `tokens` (T; 0 counts as 1). `entries` as read_databases() gives them: without overlapping ranges. A dW whose
/// options have no entry is served by those of plain dW: where the result goes hardly changes which config is best. Throws
/// UsageError when the override file contradicts the problem.
Choice lookup(const std::vector<Entry>& entries, const LookupRequest& request, int64_t tokens);

/// lookup() for every T, precomputed and immutable: what a block keeps. find() costs one binary search, no lock, no allocation.
class Ladder {
 public:
  /// find(T) then equals lookup(entries, request, T) for all T.
  Ladder(const std::vector<Entry>& entries, const LookupRequest& request);

  /// Index of the choice for `tokens`.
  int find(int64_t tokens) const noexcept;
  int size() const { return static_cast<int>(choices_.size()); }
  const Choice& choice(int index) const { return choices_[static_cast<size_t>(index)]; }
  const KernelConfig& config(int index) const { return choice(index).config; }
  /// The last token count that choice `index` is used for; INT64_MAX for the last one.
  int64_t last_tokens(int index) const { return last_tokens_[static_cast<size_t>(index)]; }

  bool operator==(const Ladder&) const = default;

 private:
  std::vector<int64_t> last_tokens_;  ///< ascending, one per choice
  std::vector<Choice> choices_;
};

}  // namespace moe_tune
