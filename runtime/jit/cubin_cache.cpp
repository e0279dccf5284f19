#include "runtime/jit/cubin_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "generator/support/checked.hpp"
#include "generator/support/file.hpp"
#include "generator/support/file_lock.hpp"
#include "generator/support/folder.hpp"
#include "generator/support/hash.hpp"
#include "generator/support/log.hpp"
#include "runtime/jit/cache_entry.hpp"

namespace moe_tune {

namespace fs = std::filesystem;

namespace {

constexpr size_t max_entry_bytes = size_t{64} << 20;
constexpr const char* default_limit = "1G";
// Other processes add entries too; this bounds by how much the estimate of the folder's size can be off.
constexpr int stores_between_counts = 64;

struct CachedFile {
  fs::path path;
  uint64_t bytes = 0;
  fs::file_time_type used;  ///< last stored or hit
};

/// Every regular file of the folder. Those that are no entries are temporary files whose writer was killed: they count, and since
/// nothing touches them they are the first to be evicted.
std::vector<CachedFile> files_in(const fs::path& folder) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;  // another process may evict a file between the listing and these calls
    if (!entry->is_regular_file(gone) || entry->is_symlink(gone)) continue;
    const uint64_t bytes = entry->file_size(gone);
    if (gone) continue;
    const fs::file_time_type used = entry->last_write_time(gone);
    if (!gone) files.push_back({entry->path(), bytes, used});
  }
  return files;
}

uint64_t total_bytes(const std::vector<CachedFile>& files) {
  uint64_t total = 0;
  for (const CachedFile& file : files) total += file.bytes;
  return total;
}

// A file per key would leave one behind for every kernel ever compiled; this bounds them to 4,096. Two kernels that share one
// wait for each other at worst.
fs::path lock_file(const fs::path& folder, const std::string& key) { return folder / "locks" / key.substr(0, 3); }

}  // namespace

CubinCache::CubinCache(fs::path folder, uint64_t max_bytes, Compiler compiler)
    : max_bytes_(max_bytes), compiler_(std::move(compiler)) {
  if (max_bytes_ == 0) return;
  try {
    open_folder(folder);
  } catch (const EnvironmentError& error) {
    fall_back(error.what());
  }
}

CubinCache::~CubinCache() {
  // A forked child that ends must not take its parent's folder away.
  if (temporary_root_.empty() || temporary_root_owner_ != getpid()) return;
  std::error_code ignored;
  fs::remove_all(temporary_root_, ignored);
}

void CubinCache::open_folder(const fs::path& folder) {
  // The parent too: whoever can write there can put another folder in this one's place.
  ensure_private_folder(folder.parent_path());
  ensure_private_folder(folder);
  ensure_private_folder(folder / "locks");
  folder_ = folder;
}

void CubinCache::fall_back(const std::string& why) {
  std::error_code no_temporary_folder;
  std::string name = (fs::temp_directory_path(no_temporary_folder) / "moe-tune-XXXXXX").string();
  if (no_temporary_folder || !mkdtemp(name.data())) return warn_once(why);
  temporary_root_ = name;
  temporary_root_owner_ = getpid();
  try {
    open_folder(temporary_root_ / "cubin");
    log_line(LogLevel::warn, fmt::format("compiled kernels go to {}, for this process only: {}", folder_.string(), why));
  } catch (const EnvironmentError& error) {
    warn_once(error.what());
  }
}

CompiledKernel CubinCache::get_or_compile(const std::string& source, const std::string& arch, const std::string& name) {
  if (folder_.empty()) {
    CompiledKernel kernel = compiler_.compile(source, arch, name);
    ++misses_;
    return kernel;
  }
  const std::string wanted = key(source, arch);
  if (Loaded found = load(wanted); found.kernel) {
    ++hits_;
    return *std::move(found.kernel);
  }
  std::optional<FileLock> lock;
  try {
    lock.emplace(lock_file(folder_, wanted));
  } catch (const EnvironmentError& error) {
    warn_once(error.what());
  }
  // Whoever held the lock before has most likely compiled this very kernel.
  Loaded found = load(wanted);
  if (found.kernel) {
    ++hits_;
    return *std::move(found.kernel);
  }
  CompiledKernel kernel = compiler_.compile(source, arch, name);
  ++misses_;
  if (store(wanted, kernel) && found.damaged) ++healed_;
  return kernel;
}

std::string CubinCache::key(std::string_view source, std::string_view arch) const {
  const std::string identity = compiler_.identity();
  // Lengths first, so that no two different triples concatenate to the same text.
  return hash_hex(fmt::format("{} {} {}\n{}{}{}", identity.size(), arch.size(), source.size(), identity, arch, source));
}

fs::path CubinCache::entry_file(const std::string& wanted) const { return folder_ / (wanted + ".entry"); }

CubinCache::Loaded CubinCache::load(const std::string& wanted) const {
  const fs::path file = entry_file(wanted);
  struct stat status {};
  if (lstat(file.c_str(), &status) != 0) return {};
  try {
    Loaded loaded{decode_cache_entry(wanted, read_file(file, max_entry_bytes)), false};
    loaded.damaged = !loaded.kernel;
    // The modification time is the time of last use, which eviction goes by.
    if (loaded.kernel) utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
    return loaded;
  } catch (const EnvironmentError&) {
    // A link, a FIFO, unreadable, too large, or evicted this moment: whatever it is, it is replaced like any damaged entry.
    return {std::nullopt, true};
  }
}

bool CubinCache::store(const std::string& wanted, const CompiledKernel& kernel) {
  const std::string bytes = encode_cache_entry(wanted, kernel);
  if (bytes.size() > std::min<uint64_t>(max_bytes_, max_entry_bytes)) return false;
  try {
    make_room(bytes.size());
    write_file_atomic(entry_file(wanted), bytes);
    return true;
  } catch (const EnvironmentError& error) {
    warn_once(error.what());
    return false;
  }
}

void CubinCache::make_room(uint64_t added) {
  const std::lock_guard guard(room_mutex_);
  if (!estimated_bytes_ || ++stores_since_count_ >= stores_between_counts) {
    estimated_bytes_ = total_bytes(files_in(folder_));
    stores_since_count_ = 0;
  }
  if (*estimated_bytes_ + added > max_bytes_) estimated_bytes_ = evict(added);
  *estimated_bytes_ += added;
}

uint64_t CubinCache::evict(uint64_t added) {
  const FileLock one_at_a_time(folder_ / "locks" / "evict");
  std::vector<CachedFile> files = files_in(folder_);
  uint64_t total = total_bytes(files);
  if (total + added <= max_bytes_) return total;  // another process evicted while this one waited
  std::sort(files.begin(), files.end(), [](const CachedFile& a, const CachedFile& b) { return a.used < b.used; });
  // A tenth more than needed, so that a full cache does not scan its folder for every new entry.
  const uint64_t goal = max_bytes_ - max_bytes_ / 10;
  for (const CachedFile& file : files) {
    if (total + added <= goal) break;
    std::error_code ignored;
    if (!fs::remove(file.path, ignored)) continue;
    total -= file.bytes;
    ++evicted_;
  }
  return total;
}

void CubinCache::warn_once(const std::string& why) {
  std::call_once(warned_, [&why] {
    log_line(LogLevel::warn, fmt::format("the cache of compiled kernels is impaired, so some will be compiled again: {}", why));
  });
}

CacheStats CubinCache::stats() const { return {hits_, misses_, healed_, evicted_}; }

CacheUsage CubinCache::usage() const {
  if (folder_.empty()) return {};
  const std::vector<CachedFile> files = files_in(folder_);
  return {static_cast<int64_t>(files.size()), static_cast<int64_t>(total_bytes(files))};
}

uint64_t parse_cache_limit(std::string_view text) {
  const char* end = text.data() + text.size();
  int64_t number = 0;
  const auto [suffix_begin, error] = std::from_chars(text.data(), end, number);
  const std::string_view suffix(suffix_begin, static_cast<size_t>(end - suffix_begin));
  constexpr std::string_view units = "KMG";
  const bool known = suffix.empty() || (suffix.size() == 1 && units.find(suffix[0]) != std::string_view::npos);
  if (error != std::errc() || number < 0 || !known) {
    throw UsageError(
        fmt::format("the cache limit \"{}\" is not a size: write bytes, or a number with K, M or G, e.g. 512M; 0 turns "
                    "the cache off (MOE_TUNE_CACHE_LIMIT)",
                    text));
  }
  const int64_t unit = suffix.empty() ? 1 : int64_t{1} << (10 * (units.find(suffix[0]) + 1));
  return static_cast<uint64_t>(checked_mul(number, unit, "the cache limit (MOE_TUNE_CACHE_LIMIT)"));
}

CubinCache& cubin_cache() {
  static CubinCache cache = [] {
    const char* limit = std::getenv("MOE_TUNE_CACHE_LIMIT");
    return CubinCache(user_cache_folder() / "cubin", parse_cache_limit(limit && *limit ? limit : default_limit),
                      nvrtc_compiler());
  }();
  return cache;
}

}  // namespace moe_tune
