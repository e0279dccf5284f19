// The journal and the database that a run writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/tune/tuner.hpp"
#include "tuning_db/journal.hpp"
#include "tuning_db/store.hpp"

namespace moe_tune {

/// Neither file may stop the run: what cannot be written is warned of, and a decision is kept for the next try.
class Recorder {
 public:
  /// `observer` outlives the object.
  Recorder(const TuneOptions& options, TuneObserver& observer);

  /// Journals the attempt and tells the observer.
  void attempt(const Attempt& attempt);

  /// Publishes the entry, and what could not be published before; then journals it as completed.
  void decide(const Entry& entry);

  /// Tries again to publish what could not be.
  void publish();

  /// Why decisions are not in the database; empty: all are.
  const std::string& unpublished() const { return unpublished_; }

 private:
  template <class Record>
  void append(const Record& record);

  Store store_;
  TuneObserver& observer_;
  std::optional<Journal> journal_;
  std::vector<Entry> pending_;
  std::string unpublished_;
};

}  // namespace moe_tune
