#include "tuning_db/lookup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "tuning_db/token_distance.hpp"

namespace moe_tune {
namespace {

constexpr int64_t max_tokens = std::numeric_limits<int64_t>::max();
constexpr int64_t max_power_of_two = int64_t{1} << 62;

bool is_stale(const Entry& entry, const LookupRequest& request) {
  const std::string& today = request.source_hashes[static_cast<size_t>(entry.config.family)];
  return entry.gen.source_hash != today || entry.env.nvrtc != request.nvrtc;
}

/// Within a factor of two of where the entry was measured.
bool is_near(const Entry& entry, int64_t tokens) {
  const int64_t measured = entry.tokens.measured;
  return measured / 2 + measured % 2 <= tokens && (measured > max_tokens / 2 || tokens <= 2 * measured);
}

using Entries = std::vector<const Entry*>;

/// The entries of a problem and the request's device whose config is in today's space.
Entries usable_entries(const std::vector<Entry>& entries, const Problem& problem, const LookupRequest& request) {
  Entries usable;
  for (const Entry& entry : entries) {
    if (entry.problem == problem && entry.env.key == request.device && request.in_space(entry.config)) usable.push_back(&entry);
  }
  return usable;
}

/// The problem that computes the same, stored as plainly as can be.
Problem plain(Problem problem) {
  problem.float32_dw = problem.accumulate = false;
  return problem;
}

/// Entries of the request's problem, then those that serve where the former say nothing.
std::vector<Entries> ranked_entries(const std::vector<Entry>& entries, const LookupRequest& request) {
  std::vector<Entries> ranked = {usable_entries(entries, request.problem, request)};
  if (plain(request.problem) != request.problem) ranked.push_back(usable_entries(entries, plain(request.problem), request));
  return ranked;
}

/// What an entry is worth for `tokens`; none when it says nothing about them.
std::optional<Grade> grade_of(const Entry& entry, const LookupRequest& request, int64_t tokens) {
  const bool stale = is_stale(entry, request);
  if (!is_measured(entry)) {
    if (entry.tokens.holds(tokens) || is_near(entry, tokens)) return Grade::predicted;
    return std::nullopt;
  }
  if (entry.tokens.holds(tokens)) return stale ? Grade::exact_stale : Grade::exact;
  if (is_near(entry, tokens)) return stale ? Grade::nearest_stale : Grade::nearest;
  return std::nullopt;
}

/// Whether `a` goes before `b` within a grade: a range that holds T, then one that is not stale, then the nearer one.
bool goes_before(const Entry& a, const Entry& b, const LookupRequest& request, int64_t tokens) {
  if (a.tokens.holds(tokens) != b.tokens.holds(tokens)) return a.tokens.holds(tokens);
  if (is_stale(a, request) != is_stale(b, request)) return is_stale(b, request);
  return nearer(a.tokens.measured, b.tokens.measured, tokens);
}

std::string reason(const Entry& entry, Grade grade, int64_t tokens) {
  const std::string where =
      entry.tokens.holds(tokens)
          ? fmt::format("for {} to {} tokens (at {})", entry.tokens.lo, entry.tokens.hi, entry.tokens.measured)
          : fmt::format("at {} tokens, the nearest within 2x of {}", entry.tokens.measured, tokens);
  return fmt::format("{} {} on {}, {}", to_string(entry.source), where, entry.env.key.name,
                     grade == Grade::exact_stale || grade == Grade::nearest_stale ? "stale" : entry.date);
}

std::string stale_warning(const Entry& entry, const LookupRequest& request) {
  const bool compiler = entry.env.nvrtc != request.nvrtc;
  return fmt::format(
      "the entry for {} at {} tokens was made by {}; it may be slower than it says. Run moe-tune tune "
      "for this model again",
      describe(entry.problem), entry.tokens.measured,
      compiler ? fmt::format("NVRTC {} (now {})", entry.env.nvrtc, request.nvrtc)
               : fmt::format("kernel sources of moe-tune {}", entry.gen.version));
}

Choice choose(const std::vector<Entries>& ranked, const LookupRequest& request, int64_t tokens) {
  const Entry* best = nullptr;
  Grade best_grade = Grade::heuristic;
  for (const Entries& usable : ranked) {
    if (best != nullptr) break;
    for (const Entry* entry : usable) {
      const auto grade = grade_of(*entry, request, tokens);
      if (!grade || *grade > best_grade) continue;
      if (*grade < best_grade || goes_before(*entry, *best, request, tokens)) {
        best = entry;
        best_grade = *grade;
      }
    }
  }
  Choice choice;
  choice.grade = best_grade;
  if (best == nullptr) {
    choice.config = request.heuristic(heuristic_tokens(tokens));
    choice.why = fmt::format("default: no entry for this workload on {} near {} tokens", request.device.name, tokens);
    return choice;
  }
  choice.config = best->config;
  choice.why = reason(*best, best_grade, tokens);
  if (best->problem != request.problem) choice.why += ", of plain dW";
  choice.stale = is_stale(*best, request);
  if (choice.stale) choice.warning = stale_warning(*best, request);
  choice.entry = *best;
  return choice;
}

std::optional<Choice> overridden(const LookupRequest& request) {
  if (request.override_file == nullptr) return std::nullopt;
  const auto config = select(*request.override_file, request.problem);
  if (!config) return std::nullopt;
  Choice choice;
  choice.config = *config;
  choice.grade = Grade::override_file;
  choice.why = fmt::format("override file {}", request.override_file->source);
  return choice;
}

}  // namespace

std::string_view to_string(Grade grade) {
  constexpr std::array<std::string_view, 7> names = {"override",      "exact",     "exact_stale", "nearest",
                                                     "nearest_stale", "predicted", "heuristic"};
  return names[static_cast<size_t>(grade)];
}

int64_t heuristic_tokens(int64_t tokens) {
  if (tokens > max_power_of_two) return max_power_of_two;
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(tokens, 1))));
}

Choice lookup(const std::vector<Entry>& entries, const LookupRequest& request, int64_t tokens) {
  if (auto choice = overridden(request)) return *std::move(choice);
  return choose(ranked_entries(entries, request), request, std::max<int64_t>(tokens, 1));
}

Ladder::Ladder(const std::vector<Entry>& entries, const LookupRequest& request) {
  if (auto choice = overridden(request)) {
    choices_.push_back(*std::move(choice));
    last_tokens_.push_back(max_tokens);
    return;
  }
  // The choice can change only after these token counts; between two of them one lookup speaks for all.
  const std::vector<Entries> ranked = ranked_entries(entries, request);
  std::set<int64_t> last = {max_tokens};
  for (int64_t power = 1; power < max_power_of_two; power *= 2) last.insert(power);
  for (const Entries& usable : ranked) {
    std::array<std::set<int64_t>, 4> measured_at;  // of the entries that compete by distance
    for (const Entry* entry : usable) {
      const int64_t measured = entry->tokens.measured;
      last.insert({entry->tokens.lo - 1, entry->tokens.hi, (measured - 1) / 2});
      if (measured <= max_tokens / 2) last.insert(2 * measured);
      measured_at[(is_measured(*entry) ? 2u : 0u) + (is_stale(*entry, request) ? 1u : 0u)].insert(measured);
    }
    for (const std::set<int64_t>& rivals : measured_at) {
      for (auto upper = rivals.begin(); upper != rivals.end(); ++upper) {
        if (upper != rivals.begin()) last.insert(last_nearer_to_smaller(*std::prev(upper), *upper));
      }
    }
  }
  last.erase(0);
  for (const int64_t tokens : last) {
    Choice choice = choose(ranked, request, tokens);
    if (!choices_.empty() && choices_.back().decides_like(choice)) {
      last_tokens_.back() = tokens;
    } else {
      choices_.push_back(std::move(choice));
      last_tokens_.push_back(tokens);
    }
  }
}

int Ladder::find(int64_t tokens) const noexcept {
  return static_cast<int>(std::lower_bound(last_tokens_.begin(), last_tokens_.end(), tokens) - last_tokens_.begin());
}

}  // namespace moe_tune
