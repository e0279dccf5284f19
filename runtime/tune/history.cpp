#include "runtime/tune/history.hpp"

#include <algorithm>

#include "tuning_db/paths.hpp"
#include "tuning_db/store.hpp"

namespace moe_tune {
namespace {

bool same_routing(const RoutingSpec& spec, const Routing& routing) {
  if (spec.kind == RoutingSpec::Kind::zipf) return routing.kind == RoutingKind::zipf && routing.alpha == spec.alpha;
  return routing.kind == RoutingKind::uniform;
}

}  // namespace

History::History(const TuneOptions& options) : target_(options.target), routing_(options.routing) {
  Replay replay = Journal::replay(journal_path(options.database));
  const auto is_ours = [&](const auto& record, const KernelConfig& config) {
    return record.env.key == target_.env.key && record.env.nvrtc == target_.env.nvrtc &&
           record.gen == generators_.of(record.problem, config);
  };
  for (const Attempt& attempt : replay.attempts) {
    if (is_ours(attempt, attempt.config) && is_failure(attempt.status)) add_failure(attempt);
  }
  for (Completed& completed : replay.completed) {
    // Predictions know no card: a measuring run does not take them for its own.
    if (is_ours(completed, completed.winner) && completed.env.uuid.empty() != target_.live)
      completed_.push_back(std::move(completed));
  }
  for (Entry& entry : Store(options.database).read().entries) {
    if (entry.env.key == target_.env.key) entries_.push_back(std::move(entry));
  }
}

std::optional<Entry> History::decided(const Problem& problem, int tokens) const {
  const Source source = target_.live ? Source::tuned : Source::predicted;
  for (const Entry& entry : entries_) {
    if (entry.problem != problem || entry.tokens.measured != tokens || entry.source != source ||
        entry.gen != generators_.of(problem, entry.config) || entry.env.nvrtc != target_.env.nvrtc ||
        !same_routing(routing_, entry.routing)) {
      continue;
    }
    const bool journalled = std::any_of(completed_.begin(), completed_.end(), [&](const Completed& completed) {
      return completed.problem == problem && completed.tokens == tokens && completed.winner == entry.config;
    });
    if (journalled) return entry;
  }
  return std::nullopt;
}

const Attempt* History::failure(const Problem& problem, const KernelConfig& config) const {
  const auto found = failures_.find({problem, config});
  return found == failures_.end() ? nullptr : &found->second;
}

void History::add_failure(const Attempt& attempt) { failures_.insert_or_assign({attempt.problem, attempt.config}, attempt); }

std::vector<KernelConfig> History::seeds(const Problem& problem) const {
  std::vector<KernelConfig> configs;
  for (const Entry& entry : entries_) {
    if (entry.problem != problem) continue;
    configs.push_back(entry.config);
    for (const Alternative& alternative : entry.alternatives) configs.push_back(alternative.config);
  }
  return configs;
}

}  // namespace moe_tune
