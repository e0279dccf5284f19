// What earlier runs left behind: decisions not to take again, candidates not to try again, configs worth trying first.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tune/options.hpp"
#include "tuning_db/journal.hpp"

namespace moe_tune {

/// The journal and the database of a run's options, as far as they concern its device, generators and compiler.
class History {
 public:
  /// Throws as Journal::replay and Store::read do.
  explicit History(const TuneOptions& options);

  /// The entry that an earlier run of the same kind (measuring or predicting), routing, generator and compiler decided for this
  /// point, when the database still holds it.
  std::optional<Entry> decided(const Problem& problem, int tokens) const;

  /// The attempt in which a candidate failed.
  const Attempt* failure(const Problem& problem, const KernelConfig& config) const;

  /// Configs that the database holds for the problem on this device, whoever found them: seeds.
  std::vector<KernelConfig> seeds(const Problem& problem) const;

  void add_failure(const Attempt& attempt);

 private:
  Target target_;
  Generators generators_;
  RoutingSpec routing_;
  std::vector<Completed> completed_;
  std::map<std::pair<Problem, KernelConfig>, Attempt> failures_;
  std::vector<Entry> entries_;  ///< of this device
};

}  // namespace moe_tune
