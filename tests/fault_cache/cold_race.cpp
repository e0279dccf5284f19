// Many processes that start on an empty cache at once: one compilation per kernel, and everybody gets its result.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "generator/support/descriptor.hpp"
#include "generator/support/file.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/fake_compiler.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::ChildProcess;
using test::FakeCompiler;
using test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

void append_line(const fs::path& file, std::string line) {
  line += '\n';
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) throw std::runtime_error("append failed");
}

/// How often each line stands in the file.
std::map<std::string, int> line_counts(const fs::path& file) {
  std::map<std::string, int> counts;
  std::istringstream lines(read_file(file, 1 << 20));
  for (std::string line; std::getline(lines, line);) ++counts[line];
  return counts;
}

/// `inner`, writing one line per run to `log`, the kernel's name.
Compiler logged(const fs::path& log, Compiler inner) {
  return {inner.identity, [log, inner](const std::string& source, const std::string& arch, const std::string& name) {
            append_line(log, name);
            return inner.compile(source, arch, name);
          }};
}

/// Slow enough that without the lock many processes would find the cache empty at a time.
Compiler slow_fake() {
  Compiler compiler = FakeCompiler().compiler();
  return {compiler.identity, [compiler](const std::string& source, const std::string& arch, const std::string& name) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            return compiler.compile(source, arch, name);
          }};
}

/// Starts `processes` children that wait for one another, and each run `body(index)`; true when all return 0.
bool all_succeed(int processes, const TemporaryFolder& folder, const std::function<int(int)>& body) {
  std::vector<ChildProcess> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back([&, i] {
      while (!fs::exists(folder / "go")) std::this_thread::yield();
      return body(i);
    });
  }
  write_file_atomic(folder / "go", "");
  bool succeeded = true;
  for (ChildProcess& child : children) succeeded = child.wait() == 0 && succeeded;
  return succeeded;
}

}  // namespace

TEST_CASE("cold race: 16 processes, 50 kernels, one compilation each") {
  const TemporaryFolder folder;
  constexpr int kernels = 50;
  REQUIRE(all_succeed(16, folder, [&folder](int process) {
    CubinCache cache(folder / "cubin", 1 << 20, logged(folder / "log", slow_fake()));
    std::vector<int> order(kernels);
    for (int i = 0; i < kernels; ++i) order[static_cast<size_t>(i)] = i;
    // Half of them go the same way and collide all along, half go their own.
    if (process % 2 == 1) std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(process)));
    for (const int i : order) {
      const std::string source = "source " + std::to_string(i);
      if (cache.get_or_compile(source, "sm_80", source).cubin != "cubin of " + source + " for sm_80") return 1;
    }
    const CacheStats stats = cache.stats();
    return stats.hits + stats.misses == kernels && stats.healed == 0 ? 0 : 2;
  }));
  const std::map<std::string, int> compilations = line_counts(folder / "log");
  CHECK(compilations.size() == kernels);
  for (const auto& [name, count] : compilations) {
    CAPTURE(name);
    CHECK(count == 1);
  }
}

TEST_CASE("cold race: the real compiler, 4 processes, 2 kernels") {
  const TemporaryFolder folder;
  REQUIRE(all_succeed(4, folder, [&folder](int) {
    CubinCache cache(folder / "cubin", 1 << 20, logged(folder / "log", nvrtc_compiler()));
    for (const char* name : {"first", "second"}) {
      const std::string source = "extern \"C\" __global__ void " + std::string(name) + "(int* p) { *p = 1; }";
      const CompiledKernel kernel = cache.get_or_compile(source, "sm_80", name);
      if (kernel.cubin.substr(0, 4) !=
              "\x7f"
              "ELF" ||
          kernel.resources.registers == 0)
        return 1;
    }
    return 0;
  }));
  CHECK(line_counts(folder / "log") == std::map<std::string, int>{{"first", 1}, {"second", 1}});
}

TEST_CASE("cold race: a process killed while it compiles does not block the others") {
  const TemporaryFolder folder;
  const Compiler stuck = {FakeCompiler().compiler().identity, [&folder](const auto&, const auto&, const auto&) -> CompiledKernel {
                            append_line(folder / "log", "stuck");
                            for (;;) pause();
                          }};
  ChildProcess holder([&] {
    CubinCache(folder / "cubin", 1 << 20, stuck).get_or_compile("source", "sm_80", "k");
    return 0;
  });
  while (!fs::exists(folder / "log")) std::this_thread::yield();

  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 1 << 20, fake.compiler());
  std::thread waiting([&] { cache.get_or_compile("source", "sm_80", "k"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(fake.runs() == 0);  // it does wait for the lock
  holder.kill(SIGKILL);
  waiting.join();
  CHECK(fake.runs() == 1);
  CHECK(cache.usage().entries == 1);
}

TEST_CASE("cold race: 8 processes in a cache too small for their kernels") {
  const TemporaryFolder folder;
  constexpr uint64_t limit = 4096;
  REQUIRE(all_succeed(8, folder, [&folder](int process) {
    CubinCache cache(folder / "cubin", limit, FakeCompiler().compiler());
    for (int i = 0; i < 100; ++i) {
      const std::string source = std::to_string((process * 7 + i) % 60);
      if (cache.get_or_compile(source, "sm_80", "k").cubin != "cubin of " + source + " for sm_80") return 1;
    }
    return cache.stats().healed == 0 ? 0 : 2;
  }));
  CubinCache cache(folder / "cubin", limit, FakeCompiler().compiler());
  CHECK(cache.usage().entries > 0);
  cache.get_or_compile("one more, counted afresh", "sm_80", "k");
  CHECK(cache.usage().bytes <= static_cast<int64_t>(limit));
}
