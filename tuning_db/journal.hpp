// The tuner's diary: append-only JSON lines, one per candidate attempt, so that a killed run resumes where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "generator/support/descriptor.hpp"
#include "generator/support/json.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

/// How far a candidate came.
enum class AttemptStatus {
  predicted,  ///< ranked by the model, not compiled
  compiled,   ///< compiled, not launched
  spilled,    ///< compiled with spills and dropped
  compile_error,
  compile_timeout,
  crashed,   ///< the worker died or the launch failed
  fault,     ///< stopped by the emulated device: a race, an access out of bounds, a misused instruction
  hung,      ///< killed at its time limit; on the emulated device also: no thread can go on
  wrong,     ///< differs from the reference
  verified,  ///< right, not timed
  timed,
};

std::string_view to_string(AttemptStatus status);

/// Whether the candidate must never be picked or tried again with the same generator and compiler.
bool is_failure(AttemptStatus status);

/// One attempt at one candidate.
struct Attempt {
  Problem problem;
  Environment env;
  GeneratorId gen;
  int64_t tokens = 0;
  KernelConfig config;
  AttemptStatus status = AttemptStatus::predicted;
  std::string message;  ///< the error or the reason, for people; cut to max_message_bytes when written
  int rung = 0;         ///< round of successive halving
  std::optional<Resources> resources;
  std::optional<Verification> verify;
  std::optional<Timing> time;
  std::string date;

  bool operator==(const Attempt&) const = default;
};

/// A decision that was taken and published: (problem, device, tokens) is done.
struct Completed {
  Problem problem;
  Environment env;
  GeneratorId gen;
  int64_t tokens = 0;
  KernelConfig winner;
  std::string date;

  bool operator==(const Completed&) const = default;
};

/// What a journal holds, in the order of writing.
struct Replay {
  std::vector<Attempt> attempts;
  std::vector<Completed> completed;
  int64_t bad_records = 0;  ///< torn, damaged or of a later version; skipped
};

/// The open journal. Appending is safe from many threads and processes at once.
class Journal {
 public:
  static constexpr size_t max_message_bytes = 4096;

  /// Opens or creates the file (0600) in a private folder (ensure_private_folder). Throws EnvironmentError; a symlink, FIFO or
  /// another user's file is refused.
  explicit Journal(std::filesystem::path path);

  /// Durable when it returns: one O_APPEND write and an fsync. Throws EnvironmentError naming the path; the tuner may go on
  /// without the journal.
  void append(const Attempt& attempt);
  void append(const Completed& completed);

  const std::filesystem::path& path() const { return path_; }

  /// All intact records; a missing file is an empty journal. Throws EnvironmentError when it cannot be read.
  static Replay replay(const std::filesystem::path& path);

 private:
  void append_line(const Json& record);

  std::filesystem::path path_;
  Descriptor fd_;
};

}  // namespace moe_tune
