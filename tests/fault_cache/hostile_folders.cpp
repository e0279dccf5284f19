// A folder that somebody else could write to, or that leads elsewhere, is not used: kernels go to a private temporary folder, and
// nothing is read or written through the hostile one.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "runtime/jit/cubin_cache.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/fake_compiler.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::EnvironmentVariable;
using test::FakeCompiler;
using test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

/// Checks that a cache meant for base/cubin works in a private folder under TMPDIR, and removes that at its end.
void check_fallback(const fs::path& cubin) {
  const TemporaryFolder temporary;
  const EnvironmentVariable tmpdir("TMPDIR", temporary.path().string());
  const FakeCompiler fake;
  {
    CubinCache cache(cubin, 1 << 20, fake.compiler());
    for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
    CHECK(fake.runs() == 1);
    CHECK(cache.folder() != cubin);
    CHECK(cache.folder().parent_path().parent_path() == temporary.path());
    CHECK(fs::status(cache.folder()).permissions() == fs::perms::owner_all);
    CHECK(fs::status(cache.folder().parent_path()).permissions() == fs::perms::owner_all);
  }
  CHECK(fs::is_empty(temporary.path()));
}

}  // namespace

TEST_CASE("hostile folders: world-writable") {
  const TemporaryFolder base;
  fs::create_directory(base / "cubin");
  fs::permissions(base / "cubin", fs::perms::all);
  check_fallback(base / "cubin");
  CHECK(fs::is_empty(base / "cubin"));
}

TEST_CASE("hostile folders: a world-writable parent, in which the folder could be swapped") {
  const TemporaryFolder base;
  fs::permissions(base.path(), fs::perms::all);
  check_fallback(base / "cubin");
  CHECK_FALSE(fs::exists(base / "cubin"));
}

TEST_CASE("hostile folders: a link to a fine folder") {
  const TemporaryFolder base;
  fs::create_directory(base / "elsewhere");
  fs::permissions(base / "elsewhere", fs::perms::owner_all);
  fs::create_symlink(base / "elsewhere", base / "cubin");
  check_fallback(base / "cubin");
  CHECK(fs::is_empty(base / "elsewhere"));
}

TEST_CASE("hostile folders: a linked folder of locks") {
  const TemporaryFolder base;
  fs::create_directory(base / "cubin");
  fs::create_directory(base / "elsewhere");
  for (const char* name : {"cubin", "elsewhere"}) fs::permissions(base / name, fs::perms::owner_all);
  fs::create_symlink(base / "elsewhere", base / "cubin/locks");
  check_fallback(base / "cubin");
  CHECK(fs::is_empty(base / "elsewhere"));
}

TEST_CASE("hostile folders: a file or a FIFO in the folder's place") {
  const TemporaryFolder base;
  std::ofstream(base / "file").put('x');
  check_fallback(base / "file");
  REQUIRE(mkfifo((base / "fifo").c_str(), 0600) == 0);
  check_fallback(base / "fifo");
}

TEST_CASE("hostile folders: of another owner") {
  const TemporaryFolder base;
  fs::create_directory(base / "cubin");
  fs::permissions(base / "cubin", fs::perms::owner_all);
  if (chown((base / "cubin").c_str(), 12345, 12345) != 0) {
    WARN("only root can give a folder away: not tried");
    return;
  }
  check_fallback(base / "cubin");
  CHECK(fs::is_empty(base / "cubin"));
}

TEST_CASE("hostile folders: a linked lock file is not followed, and costs the lock only") {
  const TemporaryFolder base;
  const FakeCompiler fake;
  CubinCache cache(base / "cubin", 1 << 20, fake.compiler());
  const std::string key = cache.key("source", "sm_80");
  fs::create_symlink(base / "outside", cache.folder() / "locks" / key.substr(0, 3));
  for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
  CHECK(fake.runs() == 1);
  CHECK_FALSE(fs::exists(base / "outside"));
}

TEST_CASE("hostile folders: no usable temporary folder either: no caching, but kernels") {
  const TemporaryFolder base;
  fs::permissions(base.path(), fs::perms::all);
  const EnvironmentVariable tmpdir("TMPDIR", (base / "absent").string());
  const FakeCompiler fake;
  CubinCache cache(base / "cubin", 1 << 20, fake.compiler());
  CHECK(cache.folder().empty());
  for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("source", "sm_80", "k").cubin == "cubin of source for sm_80");
  CHECK(fake.runs() == 2);
}
