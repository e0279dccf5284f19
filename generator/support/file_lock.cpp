#include "generator/support/file_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

FileLock::FileLock(const std::filesystem::path& lock_file)
    : fd_(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600)) {
  if (!fd_) throw_errno("cannot open the lock file", lock_file);
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) throw_errno("cannot read the lock file", lock_file);
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid()) {
    throw EnvironmentError(
        fmt::format("the lock file {} is not a regular file of this user. Delete it or use another folder", lock_file.string()));
  }
  while (::flock(fd_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw_errno("cannot lock", lock_file, "The file system must support flock().");
  }
}

}  // namespace moe_tune
