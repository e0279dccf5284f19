#include "tuning_db/store.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <optional>
#include <string>

#include "generator/support/date.hpp"
#include "generator/support/file.hpp"
#include "generator/support/file_lock.hpp"
#include "generator/support/folder.hpp"
#include "generator/support/json.hpp"
#include "generator/support/log.hpp"
#include "moe_tune/error.hpp"
#include "tuning_db/merge.hpp"

namespace moe_tune {
namespace {

namespace fs = std::filesystem;

/// The file's bytes; none when there is no file.
std::optional<std::string> read_if_present(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 && errno == ENOENT) return std::nullopt;
  return read_file(path, max_json_bytes);
}

/// A name beside `path` that is not taken: two damages in one second must not overwrite each other.
fs::path damaged_name(const fs::path& path) {
  const std::string stem = fmt::format("{}.damaged-{}", path.string(), utc_now());
  fs::path name = stem;
  struct stat info {};
  for (int i = 2; ::lstat(name.c_str(), &info) == 0; ++i) name = fmt::format("{}-{}", stem, i);
  return name;
}

fs::path lock_path(fs::path path) {
  path += ".lock";
  return path;
}

}  // namespace

Database Store::read() const {
  const auto text = read_if_present(path_);
  return text ? decode_database(*text, path_.string()) : Database{};
}

void Store::ensure_publishable() const {
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  ensure_private_folder(folder);
  const FileLock lock(lock_path(path_));
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) throw_errno("cannot write to the folder", folder);
  read();
}

void Store::publish(const std::vector<Entry>& entries) const {
  ensure_private_folder(path_.parent_path());
  const FileLock lock(lock_path(path_));
  remove_orphan_temporaries(path_);

  Database database;
  if (const auto text = read_if_present(path_)) {
    database = decode_database(*text, path_.string());
    if (!database.damage.empty()) {
      const fs::path aside = damaged_name(path_);
      write_file_atomic(aside, *text);
      log_line(LogLevel::warn, fmt::format("{} was damaged ({}); what is intact was kept, the old file is {}", path_.string(),
                                           database.damage.front(), aside.string()));
    }
  }
  database.entries = merge_entries(database.entries, entries);
  const std::string text = encode_database(database);
  if (text.size() > max_json_bytes) {
    throw EnvironmentError(
        fmt::format("{} would grow to {} bytes; the limit is {}. Put another file first in MOE_TUNE_DB (this "
                    "one is still read)",
                    path_.string(), text.size(), max_json_bytes));
  }
  write_file_atomic(path_, text);
}

}  // namespace moe_tune
