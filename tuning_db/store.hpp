// The database file on disk: read without a lock, published under one.
#pragma once

#include <filesystem>
#include <vector>

#include "tuning_db/schema.hpp"

namespace moe_tune {

/// One database file and its lock file "<path>.lock". Holds no descriptor and no state; safe to use from many processes.
class Store {
 public:
  explicit Store(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }

  /// What the file holds; an empty database when there is none. Damaged records are left out and named in `damage`. Takes no
  /// lock: a reader sees the old or the new file, whole. Throws UsageError for a file that is no database or of a newer schema,
  /// EnvironmentError when it cannot be read.
  Database read() const;

  /// Throws what publish() would throw now: creates a missing folder, checks that it is private and can be written, takes the
  /// lock, reads. The file stays as it is. For callers whose work would be lost otherwise.
  void ensure_publishable() const;

  /// Adds entries: lock, read again, merge (tuning_db/merge.hpp), replace the file, durable when it returns. The folder is
  /// created if missing and must be private (ensure_private_folder). A damaged file is first copied to
  /// "<path>.damaged-<time>". On any error the old file stays as it was. Throws as read() does.
  void publish(const std::vector<Entry>& entries) const;

 private:
  std::filesystem::path path_;
};

}  // namespace moe_tune
