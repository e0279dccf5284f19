// Mutual exclusion between processes (and between threads: each FileLock opens the file anew).
#pragma once

#include <filesystem>

#include "generator/support/descriptor.hpp"

namespace moe_tune {

/// Holds an exclusive flock() on `lock_file` for its lifetime, waiting for it as long as necessary; the kernel releases it when
/// the process dies. The file is created with mode 0600 and stays. Throws EnvironmentError when it cannot be opened, is a
/// symlink or not a regular file, or belongs to another user.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& lock_file);

 private:
  Descriptor fd_;
};

}  // namespace moe_tune
