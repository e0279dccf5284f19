#include "runtime/tune/recorder.hpp"

#include <fmt/format.h>

#include "moe_tune/error.hpp"
#include "tuning_db/paths.hpp"

namespace moe_tune {

Recorder::Recorder(const TuneOptions& options, TuneObserver& observer) : store_(options.database), observer_(observer) {
  try {
    journal_.emplace(journal_path(options.database));
  } catch (const EnvironmentError& error) {
    observer_.on_warning(fmt::format("no journal is kept, this run cannot be resumed: {}", error.what()));
  }
}

template <class Record>
void Recorder::append(const Record& record) {
  if (!journal_) return;
  try {
    journal_->append(record);
  } catch (const EnvironmentError& error) {
    observer_.on_warning(fmt::format("the journal is given up, this run cannot be resumed: {}", error.what()));
    journal_.reset();
  }
}

void Recorder::attempt(const Attempt& attempt) {
  append(attempt);
  observer_.on_attempt(attempt);
}

void Recorder::decide(const Entry& entry) {
  pending_.push_back(entry);
  publish();
}

void Recorder::publish() {
  if (pending_.empty()) return;
  try {
    store_.publish(pending_);
  } catch (const EnvironmentError& error) {
    unpublished_ = error.what();
    observer_.on_warning(fmt::format("the database was not written, will try again: {}", error.what()));
    return;
  }
  unpublished_.clear();
  // Only now: a decision that is journalled as completed is in the database.
  for (const Entry& entry : pending_) {
    append(Completed{entry.problem, entry.env, entry.gen, entry.tokens.measured, entry.config, entry.date});
  }
  pending_.clear();
}

}  // namespace moe_tune
