// The on-disk cache of compiled kernels, shared by all processes of a user.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/jit/compiler.hpp"

namespace moe_tune {

/// What one CubinCache object did so far.
struct CacheStats {
  int64_t hits = 0;
  int64_t misses = 0;   ///< compilations that ended well, healed ones included
  int64_t healed = 0;   ///< damaged entries that were compiled again and replaced
  int64_t evicted = 0;  ///< entries removed for the size limit
};

/// What the folder holds now.
struct CacheUsage {
  int64_t entries = 0;
  int64_t bytes = 0;
};

/// A folder of compiled kernels. Thread-safe, and safe among processes: of all that ask for one kernel at a time one compiles it
/// and the rest load its result. An entry that is damaged in any way is a miss, compiled anew and replaced. A folder that cannot
/// be trusted is replaced by a private temporary one, and a write that fails costs the caching only; both warn once. File format:
/// docs/FORMATS.md, "Cubin cache".
class CubinCache {
 public:
  /// `folder` is created with mode 0700; it and its parent must be writable by this user alone. `max_bytes` is the size limit, 0
  /// to cache nothing. Does not throw over the folder.
  CubinCache(std::filesystem::path folder, uint64_t max_bytes, Compiler compiler);
  ~CubinCache();
  CubinCache(const CubinCache&) = delete;
  CubinCache& operator=(const CubinCache&) = delete;

  /// The kernel of `source` compiled for `arch`. Throws what the compiler throws; failures are not cached.
  CompiledKernel get_or_compile(const std::string& source, const std::string& arch, const std::string& name);

  /// The entry's name: a hash over source, arch and the compiler's identity.
  std::string key(std::string_view source, std::string_view arch) const;

  CacheStats stats() const;
  /// Reads the folder.
  CacheUsage usage() const;
  /// Where entries are; empty when nothing is cached.
  const std::filesystem::path& folder() const { return folder_; }
  uint64_t max_bytes() const { return max_bytes_; }

 private:
  struct Loaded {
    std::optional<CompiledKernel> kernel;
    bool damaged = false;  ///< there is an entry, but not a good one
  };

  void open_folder(const std::filesystem::path& folder);
  void fall_back(const std::string& why);
  Loaded load(const std::string& wanted) const;
  bool store(const std::string& wanted, const CompiledKernel& kernel);
  void make_room(uint64_t added);
  uint64_t evict(uint64_t added);
  void warn_once(const std::string& why);
  std::filesystem::path entry_file(const std::string& wanted) const;

  std::filesystem::path folder_;
  uint64_t max_bytes_;
  Compiler compiler_;
  std::filesystem::path temporary_root_;  ///< the private folder that stands in for one not to be trusted; else empty
  int temporary_root_owner_ = 0;          ///< the process that made it, and removes it
  std::atomic<int64_t> hits_{0}, misses_{0}, healed_{0}, evicted_{0};
  std::once_flag warned_;
  std::mutex room_mutex_;
  std::optional<uint64_t> estimated_bytes_;  ///< of the folder: counted now and then, summed up in between
  int stores_since_count_ = 0;
};

/// "1500", "64K", "512M", "2G" (powers of 1024) as bytes. Throws UsageError for anything else.
uint64_t parse_cache_limit(std::string_view text);

/// The process's cache: <user cache folder>/cubin, limited to MOE_TUNE_CACHE_LIMIT (default 1G), compiling with nvrtc().
CubinCache& cubin_cache();

}  // namespace moe_tune
