#include "generator/support/folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "generator/support/descriptor.hpp"
#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

namespace fs = std::filesystem;

void create_missing(const fs::path& folder) {
  if (folder.empty() || ::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return;
  if (errno != ENOENT || folder.parent_path() == folder) throw_errno("cannot create the folder", folder);
  create_missing(folder.parent_path());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) throw_errno("cannot create the folder", folder);
}

std::optional<fs::path> path_from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

}  // namespace

void ensure_private_folder(const fs::path& folder) {
  // Without a trailing slash, which would make O_NOFOLLOW follow a symlink.
  fs::path path = folder.lexically_normal();
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  if (path.empty()) path = ".";
  create_missing(path);

  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) throw_errno("cannot use the folder", path, "It must be a real folder, not a link; name another one.");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw_errno("cannot use the folder", path);
  if (info.st_uid != ::geteuid()) {
    throw EnvironmentError(
        fmt::format("the folder {} belongs to user {}, not to you ({}): somebody else could change its files. "
                    "Use a folder of your own (MOE_TUNE_CACHE_DIR, MOE_TUNE_DB)",
                    path.string(), info.st_uid, ::geteuid()));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw EnvironmentError(
        fmt::format("the folder {} is writable by others (mode {:o}): somebody else could change its files. "
                    "Run: chmod go-w '{}'",
                    path.string(), info.st_mode & 07777, path.string()));
  }
}

fs::path user_cache_folder() {
  if (const auto chosen = path_from_environment("MOE_TUNE_CACHE_DIR")) return *chosen;
  if (const auto cache = path_from_environment("XDG_CACHE_HOME")) return *cache / "moe-tune";
  if (const auto home = path_from_environment("HOME")) return *home / ".cache" / "moe-tune";
  const passwd* user = ::getpwuid(::geteuid());
  if (user == nullptr || user->pw_dir == nullptr) {
    throw EnvironmentError("no folder for cached data: neither MOE_TUNE_CACHE_DIR, XDG_CACHE_HOME nor HOME is set");
  }
  return fs::path(user->pw_dir) / ".cache" / "moe-tune";
}

}  // namespace moe_tune
