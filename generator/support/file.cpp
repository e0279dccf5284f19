#include "generator/support/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view temporary_suffix = ".tmp-";

struct Temporary {
  fs::path path;
  Descriptor fd;
};

Temporary create_temporary(const fs::path& target) {
  static std::atomic<unsigned> counter{0};
  constexpr int attempts = 100;  // a killed process of the same id may have left its names behind
  for (int attempt = 0; attempt < attempts; ++attempt) {
    fs::path path = target;
    path += fmt::format("{}{}-{}", temporary_suffix, ::getpid(), counter.fetch_add(1));
    Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd) return {std::move(path), std::move(fd)};
    if (errno != EEXIST)
      throw_errno("cannot create a temporary file for", target, "Is the folder writable and the disk not full?");
  }
  throw EnvironmentError(fmt::format("cannot create a temporary file for {}: all names are taken. Delete {}{}*", target.string(),
                                     target.string(), temporary_suffix));
}

void write_all(int fd, std::string_view bytes, const fs::path& target) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (written == 0) {
      errno = ENOSPC;  // a regular file accepts at least one byte or has no room
      throw_errno("cannot write", target);
    } else if (errno != EINTR) {
      throw_errno("cannot write", target, "The old file is unchanged.");
    }
  }
}

}  // namespace

void throw_errno(std::string_view what, const fs::path& path, std::string_view advice) {
  const std::string reason = std::generic_category().message(errno);
  throw EnvironmentError(fmt::format("{} {}: {}{}{}", what, path.string(), reason, advice.empty() ? "" : ". ", advice));
}

RegularFile open_regular_file(const fs::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) throw_errno("cannot open", path, errno == ELOOP ? "Symbolic links are not followed: name the file itself." : "");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw_errno("cannot read", path);
  if (!S_ISREG(info.st_mode)) throw EnvironmentError(fmt::format("cannot read {}: not a regular file", path.string()));
  return {std::move(fd), static_cast<uint64_t>(info.st_size)};
}

fs::path follow_links(const fs::path& path) {
  std::error_code error;
  fs::path target = fs::canonical(path, error);
  if (error) throw EnvironmentError(fmt::format("cannot open {}: {}", path.string(), error.message()));
  return target;
}

std::string read_file(const fs::path& path, size_t max_bytes) {
  const auto [fd, size] = open_regular_file(path);
  const auto refuse_size = [&] {
    throw EnvironmentError(fmt::format("cannot read {}: larger than the limit of {} bytes", path.string(), max_bytes));
  };
  if (size > max_bytes) refuse_size();
  // One byte more than expected tells a file that grew since fstat from one that ended.
  std::string bytes(static_cast<size_t>(size) + 1, '\0');
  size_t filled = 0;
  for (;;) {
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("cannot read", path);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
    if (filled > max_bytes) refuse_size();
    if (filled == bytes.size()) bytes.resize(2 * bytes.size());
  }
  bytes.resize(filled);
  return bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const Descriptor folder_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd) throw_errno("cannot open the folder of", path);

  Temporary temporary = create_temporary(path);
  try {
    if (::fchmod(temporary.fd.get(), 0600) != 0) throw_errno("cannot set the permissions of", path);
    write_all(temporary.fd.get(), bytes, path);
    if (::fsync(temporary.fd.get()) != 0) throw_errno("cannot flush", path, "The old file is unchanged.");
    if (::close(temporary.fd.release()) != 0) throw_errno("cannot close", path, "The old file is unchanged.");
    if (::rename(temporary.path.c_str(), path.c_str()) != 0) throw_errno("cannot replace", path, "The old file is unchanged.");
  } catch (...) {
    ::unlink(temporary.path.c_str());
    throw;
  }
  if (::fsync(folder_fd.get()) != 0) {
    throw_errno("cannot flush the folder of", path, "The new file is in place but may not survive a power failure.");
  }
}

void remove_orphan_temporaries(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string prefix = path.filename().string() + std::string(temporary_suffix);
  std::error_code ignored;  // an orphan that cannot be removed costs some bytes, and the next writer tries again
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().filename().string().starts_with(prefix)) fs::remove(entry.path(), ignored);
  }
}

}  // namespace moe_tune
