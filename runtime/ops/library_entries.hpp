// The entries that the operations of a library look up, and how missing ones come to be measured.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>
#include <vector>

#include "moe_tune/online_tuner.hpp"
#include "moe_tune/problem.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

/// The databases as they were when they were read last. Thread-safe.
class LibraryEntries {
 public:
  /// Reads the databases; earlier ones win, the first is the one that is tuned into. `tuner` may be null: nothing is measured
  /// then. Throws as read_databases() does.
  LibraryEntries(std::vector<std::filesystem::path> databases, std::shared_ptr<OnlineTuner> tuner);

  std::shared_ptr<const std::vector<Entry>> get() const;

  bool tunes() const { return tuner_ != nullptr; }

  /// Has the problem measured near `tokens` and reads the databases again. Operations take turns; `missing` is asked when the
  /// turn has come, as another operation may have had the same measured. The tuner is asked once for a problem, device and power
  /// of two: when it fails, one warning says why.
  void tune(const Problem& problem, int device, std::int64_t tokens, const std::function<bool()>& missing);

 private:
  void read();

  const std::vector<std::filesystem::path> databases_;
  const std::shared_ptr<OnlineTuner> tuner_;
  std::mutex turn_;
  std::set<std::tuple<Problem, int, std::int64_t>> asked_;
  mutable std::mutex reading_;
  std::shared_ptr<const std::vector<Entry>> entries_;
};

}  // namespace moe_tune
