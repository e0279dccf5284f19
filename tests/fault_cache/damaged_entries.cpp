// Whatever happens to an entry's bytes, the caller gets the right kernel, the compiler runs once, and the entry is whole again.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "generator/support/file.hpp"
#include "runtime/jit/cubin_cache.hpp"
#include "tests/support/fake_compiler.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::FakeCompiler;
using test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

class OneEntry {
 public:
  OneEntry() : cache_(folder_ / "cubin", 1 << 20, fake_.compiler()) {
    get();
    sound_ = read_file(file(), 1 << 20);
  }

  fs::path file() const { return cache_.folder() / (cache_.key("source", "sm_80") + ".entry"); }
  const std::string& sound() const { return sound_; }
  const TemporaryFolder& folder() const { return folder_; }

  void overwrite(std::string_view bytes) const { std::ofstream(file(), std::ios::binary | std::ios::trunc) << bytes; }

  /// Asks for the kernel after damage; says what is not as it must be, "" when all is.
  std::string fault_after_damage() {
    const int runs = fake_.runs();
    const int64_t healed = cache_.stats().healed;
    if (get() != "cubin of source for sm_80") return "wrong kernel";
    if (fake_.runs() != runs + 1) return "not compiled again exactly once";
    if (cache_.stats().healed != healed + 1) return "not counted as healed";
    if (read_file(file(), 1 << 20) != sound_) return "entry not whole";
    if (get() != "cubin of source for sm_80" || fake_.runs() != runs + 1) return "no hit after healing";
    return "";
  }

 private:
  std::string get() { return cache_.get_or_compile("source", "sm_80", "k").cubin; }

  TemporaryFolder folder_;
  FakeCompiler fake_;
  CubinCache cache_;
  std::string sound_;
};

}  // namespace

TEST_CASE("damaged entries: every truncation, zero length included") {
  OneEntry entry;
  for (size_t length = 0; length < entry.sound().size(); ++length) {
    CAPTURE(length);
    entry.overwrite(entry.sound().substr(0, length));
    REQUIRE(entry.fault_after_damage() == "");
  }
}

TEST_CASE("damaged entries: every bit flip") {
  OneEntry entry;
  for (size_t bit = 0; bit < 8 * entry.sound().size(); ++bit) {
    CAPTURE(bit);
    std::string flipped = entry.sound();
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    entry.overwrite(flipped);
    REQUIRE(entry.fault_after_damage() == "");
  }
}

TEST_CASE("damaged entries: text behind the end") {
  OneEntry entry;
  entry.overwrite(entry.sound() + "x");
  CHECK(entry.fault_after_damage() == "");
}

TEST_CASE("damaged entries: two sound entries swapped") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 1 << 20, fake.compiler());
  const auto get = [&cache](const std::string& source) { return cache.get_or_compile(source, "sm_80", "k").cubin; };
  const auto file = [&cache](const std::string& source) { return cache.folder() / (cache.key(source, "sm_80") + ".entry"); };
  get("a");
  get("b");
  fs::rename(file("a"), folder / "aside");
  fs::rename(file("b"), file("a"));
  fs::rename(folder / "aside", file("b"));
  CHECK(get("a") == "cubin of a for sm_80");
  CHECK(get("b") == "cubin of b for sm_80");
  CHECK(fake.runs() == 4);
  CHECK(cache.stats().healed == 2);
  CHECK(get("a") == "cubin of a for sm_80");
  CHECK(fake.runs() == 4);
}

TEST_CASE("damaged entries: a link to a sound entry is replaced, not followed") {
  OneEntry entry;
  const fs::path outside = entry.folder() / "outside";
  fs::rename(entry.file(), outside);
  fs::create_symlink(outside, entry.file());
  CHECK(entry.fault_after_damage() == "");
  CHECK(fs::is_regular_file(fs::symlink_status(entry.file())));
  CHECK(read_file(outside, 1 << 20) == entry.sound());
}

TEST_CASE("damaged entries: a dangling link is replaced, and nothing appears where it points") {
  OneEntry entry;
  fs::remove(entry.file());
  fs::create_symlink(entry.folder() / "outside", entry.file());
  CHECK(entry.fault_after_damage() == "");
  CHECK_FALSE(fs::exists(entry.folder() / "outside"));
}

TEST_CASE("damaged entries: a FIFO does not block") {
  OneEntry entry;
  fs::remove(entry.file());
  REQUIRE(mkfifo(entry.file().c_str(), 0600) == 0);
  CHECK(entry.fault_after_damage() == "");
}

TEST_CASE("damaged entries: an unreadable file is replaced") {
  OneEntry entry;
  entry.overwrite("not an entry, and not readable but to root");
  fs::permissions(entry.file(), fs::perms::none);
  CHECK(entry.fault_after_damage() == "");
}

TEST_CASE("damaged entries: a folder in an entry's place costs the caching of that kernel only") {
  const TemporaryFolder folder;
  const FakeCompiler fake;
  CubinCache cache(folder / "cubin", 1 << 20, fake.compiler());
  fs::create_directories(cache.folder() / (cache.key("a", "sm_80") + ".entry") / "full");
  for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("a", "sm_80", "k").cubin == "cubin of a for sm_80");
  for (int i = 0; i < 2; ++i) CHECK(cache.get_or_compile("b", "sm_80", "k").cubin == "cubin of b for sm_80");
  CHECK(fake.runs() == 3);
  CHECK(cache.stats().healed == 0);
}
