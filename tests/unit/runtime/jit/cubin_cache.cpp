#include "runtime/jit/cubin_cache.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "generator/support/file.hpp"
#include "moe_tune/error.hpp"
#include "runtime/jit/cache_entry.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/fake_compiler.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::FakeCompiler;
using test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

constexpr uint64_t plenty = 1 << 20;

fs::path entry_of(const CubinCache& cache, const std::string& source, const std::string& arch) {
  return cache.folder() / (cache.key(source, arch) + ".entry");
}

fs::perms mode_of(const fs::path& path) { return fs::symlink_status(path).permissions(); }

}  // namespace

TEST_CASE("cubin_cache: compiles once, also for later caches on the same folder") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  {
    CubinCache cache(folder / "cubin", plenty, fake.compiler());
    CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
    CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
    CHECK(cache.stats().misses == 1);
    CHECK(cache.stats().hits == 1);
    CHECK(cache.usage().entries == 1);
  }
  CubinCache later(folder / "cubin", plenty, fake.compiler());
  const CompiledKernel kernel = later.get_or_compile("source", "sm_80", "k");
  CHECK(kernel.cubin == "cubin of source for sm_80");
  CHECK(kernel.resources.registers == 42);
  CHECK(later.stats().hits == 1);
  CHECK(fake.runs() == 1);
}

TEST_CASE("cubin_cache: the key changes with every byte of the source, the arch and the compiler's identity") {
  const TemporaryFolder folder;
  const auto key = [&](const std::string& identity, const std::string& source, const std::string& arch) {
    return CubinCache(folder / "cubin", plenty, FakeCompiler(identity).compiler()).key(source, arch);
  };
  const std::string source = "template text\n";
  std::set<std::string> keys = {
      key("nvrtc 12.4 --std=c++17", source, "sm_80"),       key("nvrtc 12.8 --std=c++17", source, "sm_80"),
      key("nvrtc 12.4 --std=c++20", source, "sm_80"),       key("nvrtc 12.4", source, "sm_80"),
      key("nvrtc 12.4 --std=c++17", source, "sm_90"),       key("nvrtc 12.4 --std=c++17", source, "sm_90a"),
      key("nvrtc 12.4 --std=c++17s", source, "m_80"),       key("nvrtc 12.4 --std=c++17", "0" + source, "sm_8"),
      key("nvrtc 12.4 --std=c++17", source + ' ', "sm_80"), key("nvrtc 12.4 --std=c++17", "", "sm_80"),
  };
  CHECK(keys.size() == 10);
  for (size_t bit = 0; bit < 8 * source.size(); ++bit) {
    std::string changed = source;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    keys.insert(key("nvrtc 12.4 --std=c++17", changed, "sm_80"));
  }
  CHECK(keys.size() == 10 + 8 * source.size());
  CHECK(key("nvrtc 12.4 --std=c++17", source, "sm_80") == key("nvrtc 12.4 --std=c++17", source, "sm_80"));
}

TEST_CASE("cubin_cache: failures are not cached") {
  const TemporaryFolder folder;
  int runs = 0;
  const Compiler failing = {[] { return std::string("failing"); },
                            [&runs](const std::string&, const std::string& arch, const std::string& name) -> CompiledKernel {
                              ++runs;
                              throw CompileError(name, arch, "no");
                            }};
  CubinCache cache(folder / "cubin", plenty, failing);
  CHECK_THROWS_AS(cache.get_or_compile("source", "sm_80", "k"), CompileError);
  CHECK_THROWS_AS(cache.get_or_compile("source", "sm_80", "k"), CompileError);
  CHECK(runs == 2);
  CHECK(cache.stats().misses == 0);
  CHECK(cache.usage().entries == 0);
}

TEST_CASE("cubin_cache: limit 0 caches nothing and creates nothing") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 0, fake.compiler());
  for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
  CHECK(fake.runs() == 2);
  CHECK(cache.folder().empty());
  CHECK(cache.usage().entries == 0);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("cubin_cache: the least recently used entries go first") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  const uint64_t entry_bytes = encode_cache_entry(std::string(32, '0'), FakeCompiler::kernel("source 0", "sm_80")).size();
  CubinCache cache(folder / "cubin", 10 * entry_bytes, fake.compiler());
  const auto get = [&cache](int i) { cache.get_or_compile("source " + std::to_string(i), "sm_80", "k"); };
  // Times of their own: stored within one tick of the clock, entries would have no order.
  const auto age = [&cache](int i, int seconds) {
    fs::last_write_time(entry_of(cache, "source " + std::to_string(i), "sm_80"),
                        fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  };
  for (int i = 0; i < 10; ++i) get(i);
  CHECK(cache.stats().evicted == 0);
  for (int i = 0; i < 10; ++i) age(i, 100 - i);
  get(0);     // a hit makes the oldest the newest
  get(1000);  // one too many, and its name is longer
  CHECK(cache.stats().evicted >= 2);
  CHECK(cache.usage().bytes <= static_cast<int64_t>(10 * entry_bytes));
  CHECK(fs::exists(entry_of(cache, "source 0", "sm_80")));
  CHECK(fs::exists(entry_of(cache, "source 9", "sm_80")));
  CHECK(fs::exists(entry_of(cache, "source 1000", "sm_80")));
  CHECK_FALSE(fs::exists(entry_of(cache, "source 1", "sm_80")));
  CHECK_FALSE(fs::exists(entry_of(cache, "source 2", "sm_80")));
}

TEST_CASE("cubin_cache: what a killed writer left behind is evicted, too") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 4096, fake.compiler());
  const fs::path orphan = cache.folder() / "0123.entry.tmp-1-1";
  write_file_atomic(orphan, std::string(4000, 'x'));
  fs::last_write_time(orphan, fs::file_time_type::clock::now() - std::chrono::hours(1));
  cache.get_or_compile("source", "sm_80", "k");
  CHECK_FALSE(fs::exists(orphan));
  CHECK(cache.usage().entries == 1);
}

TEST_CASE("cubin_cache: an entry larger than the cache is not stored and evicts nothing") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 1000, fake.compiler());
  cache.get_or_compile("small", "sm_80", "k");
  CHECK(cache.get_or_compile(std::string(2000, 'x'), "sm_80", "k").cubin.size() > 2000);
  CHECK(cache.usage().entries == 1);
  CHECK(cache.stats().evicted == 0);
}

TEST_CASE("cubin_cache: threads that ask for the same kernels compile each once") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", plenty, fake.compiler());
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const std::string source = "source " + std::to_string(i);
        if (cache.get_or_compile(source, "sm_80", "k").cubin != "cubin of " + source + " for sm_80") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(fake.runs() == 20);
  CHECK(cache.stats().hits == 140);
}

TEST_CASE("cubin_cache: folders are 0700 and files 0600, whatever the umask") {
  const TemporaryFolder folder;
  const mode_t old = umask(0);
  const FakeCompiler fake;
  CubinCache cache(folder / "base/cubin", plenty, fake.compiler());
  cache.get_or_compile("source", "sm_80", "k");
  umask(old);
  const fs::perms private_folder = fs::perms::owner_all;
  const fs::perms private_file = fs::perms::owner_read | fs::perms::owner_write;
  CHECK(mode_of(folder / "base") == private_folder);
  int files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder / "base")) {
    CHECK(mode_of(entry.path()) == (entry.is_directory() ? private_folder : private_file));
    files += entry.is_regular_file();
  }
  CHECK(files == 2);  // the entry and its lock
}

TEST_CASE("cubin_cache: limits") {
  CHECK(parse_cache_limit("0") == 0);
  CHECK(parse_cache_limit("1500") == 1500);
  CHECK(parse_cache_limit("64K") == 64 << 10);
  CHECK(parse_cache_limit("512M") == uint64_t{512} << 20);
  CHECK(parse_cache_limit("2G") == uint64_t{2} << 30);
  for (const char* bad :
       {"", "G", "-1", "+1", " 1", "1 ", "1.5G", "1GB", "1g", "0x10", "99999999999999999999", "9999999999999G"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_cache_limit(bad), UsageError);
  }
}

TEST_CASE("cubin_cache: the process's cache follows the environment") {
  const TemporaryFolder folder;
  const test::EnvironmentVariable place("MOE_TUNE_CACHE_DIR", (folder / "mine").string());
  const test::EnvironmentVariable limit("MOE_TUNE_CACHE_LIMIT", "3M");
  CHECK(cubin_cache().folder() == folder / "mine/cubin");
  CHECK(cubin_cache().max_bytes() == 3 << 20);
  const std::string source = "extern \"C\" __global__ void k(int* p) { *p = 1; }";
  const CompiledKernel first = cubin_cache().get_or_compile(source, "sm_80", "k.cu");
  const CompiledKernel second = cubin_cache().get_or_compile(source, "sm_80", "k.cu");
  CHECK(first.cubin == second.cubin);
  CHECK(first.resources == second.resources);
  CHECK(cubin_cache().stats().hits == 1);
}
