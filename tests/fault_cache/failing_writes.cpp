// A disk that takes no more: kernels are still compiled, one warning is given, and nothing half-written stays.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

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

void send_stderr_to(const fs::path& file) {
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  dup2(fd.get(), STDERR_FILENO);
}

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("failing writes: every write fails") {
  const TemporaryFolder folder;
  // The limit is on this process's files, so the log needs a pipe: it is no file.
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  ChildProcess child([&] {
    dup2(ends[1], STDERR_FILENO);
    CubinCache cache(folder / "cubin", 1 << 20, FakeCompiler().compiler());
    signal(SIGXFSZ, SIG_IGN);
    const rlimit nothing{0, 0};
    if (setrlimit(RLIMIT_FSIZE, &nothing) != 0) return 1;
    for (int i = 0; i < 6; ++i) {
      const std::string source = std::to_string(i % 3);
      if (cache.get_or_compile(source, "sm_80", "k").cubin != "cubin of " + source + " for sm_80") return 2;
    }
    return cache.stats().misses == 6 && cache.usage().entries == 0 ? 0 : 3;
  });
  CHECK(child.wait() == 0);
  close(ends[1]);
  std::string log(4096, '\0');
  log.resize(static_cast<size_t>(std::max<ssize_t>(0, read(ends[0], log.data(), log.size()))));
  close(ends[0]);
  CHECK(occurrences(log, "impaired") == 1);
  CHECK_THAT(log, Catch::Contains((folder / "cubin").string()));
}

TEST_CASE("failing writes: a full file system of 64 KiB keeps what fits") {
  const TemporaryFolder folder;
  ChildProcess child([&] {
    send_stderr_to(folder / "log");
    const fs::path disk = folder / "disk";
    fs::create_directory(disk);
    // In a mount namespace of this child's own, which ends with it.
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0)
      return 77;
    CubinCache cache(disk / "cubin", 1 << 20, FakeCompiler().compiler());
    const auto source = [](int i) { return std::to_string(i) + std::string(5000, 'x'); };
    for (int i = 0; i < 50; ++i)
      if (cache.get_or_compile(source(i), "sm_80", "k").cubin != "cubin of " + source(i) + " for sm_80") return 1;
    const int64_t kept = cache.usage().entries;
    if (kept == 0 || kept == 50) return 2;
    CubinCache later(disk / "cubin", 1 << 20, FakeCompiler().compiler());
    for (int i = 0; i < 50; ++i) later.get_or_compile(source(i), "sm_80", "k");
    return later.stats().hits == kept && later.stats().healed == 0 ? 0 : 3;
  });
  const int code = child.wait();
  if (code == 77) {
    WARN("this user may not mount: not tried");
    return;
  }
  CHECK(code == 0);
  CHECK(occurrences(read_file(folder / "log", 1 << 20), "impaired") == 2);  // one per cache
}
