// Library and LibraryOptions as an application sees them: through the shared library.
#include <catch2/catch.hpp>
#include <fstream>
#include <memory>

#include "moe_tune/grouped_gemm.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;
using test::EnvironmentVariable;

namespace {

/// No variable of ours set, whatever the tests were started with.
struct CleanEnvironment {
  EnvironmentVariable mode{"MOE_TUNE_MODE", std::nullopt};
  EnvironmentVariable databases{"MOE_TUNE_DB", std::nullopt};
  EnvironmentVariable override_file{"MOE_TUNE_OVERRIDE", std::nullopt};
  EnvironmentVariable check{"MOE_TUNE_CHECK", std::nullopt};
  EnvironmentVariable cache_folder{"MOE_TUNE_CACHE_DIR", "/cache"};
};

struct IdleTuner final : OnlineTuner {
  void tune(const Problem&, int, std::int64_t, const std::filesystem::path&) override {}
};

}  // namespace

TEST_CASE("Options without any variable: the user's database, no override, no checks") {
  const CleanEnvironment clean;
  const LibraryOptions options = LibraryOptions::from_environment();
  CHECK(options.databases == std::vector<std::filesystem::path>{"/cache/db.json"});
  CHECK_FALSE(options.override_file);
  CHECK_FALSE(options.check_each_call);
}

TEST_CASE("MOE_TUNE_MODE=read reads the databases of MOE_TUNE_DB, off none") {
  const CleanEnvironment clean;
  const EnvironmentVariable databases("MOE_TUNE_DB", "/one.json:/two.json");
  {
    const EnvironmentVariable mode("MOE_TUNE_MODE", "read");
    CHECK(LibraryOptions::from_environment().databases == std::vector<std::filesystem::path>{"/one.json", "/two.json"});
  }
  const EnvironmentVariable mode("MOE_TUNE_MODE", "off");
  CHECK(LibraryOptions::from_environment().databases.empty());
}

TEST_CASE("MOE_TUNE_MODE=tune reads the same databases and asks for a tuner, which only the application has") {
  const CleanEnvironment clean;
  const EnvironmentVariable mode("MOE_TUNE_MODE", "tune");
  LibraryOptions options = LibraryOptions::from_environment();
  CHECK(options.tune);
  CHECK(options.tuner == nullptr);
  CHECK(options.databases == std::vector<std::filesystem::path>{"/cache/db.json"});
  CHECK_THROWS_AS(Library(options), UsageError);
  CHECK_THROWS_WITH(Library(options), Contains("MOE_TUNE_MODE=tune") && Contains("needs a tuner") && Contains("set_tuner()"));
  options.tuner = std::make_shared<IdleTuner>();
  const test::TemporaryFolder folder;
  options.databases = {folder / "db.json"};
  CHECK_NOTHROW(Library(options));
  options.databases.clear();
  CHECK_THROWS_WITH(Library(options), Contains("database to publish to"));
  options.tune = false;
  CHECK_NOTHROW(Library(options));
  const EnvironmentVariable read("MOE_TUNE_MODE", "read");
  CHECK_FALSE(LibraryOptions::from_environment().tune);
}

TEST_CASE("MOE_TUNE_OVERRIDE and MOE_TUNE_CHECK") {
  const CleanEnvironment clean;
  const EnvironmentVariable file("MOE_TUNE_OVERRIDE", "/override.json");
  const EnvironmentVariable check("MOE_TUNE_CHECK", "1");
  const LibraryOptions options = LibraryOptions::from_environment();
  CHECK(options.override_file == "/override.json");
  CHECK(options.check_each_call);
  const EnvironmentVariable off("MOE_TUNE_CHECK", "0");
  const EnvironmentVariable none("MOE_TUNE_OVERRIDE", "");
  CHECK_FALSE(LibraryOptions::from_environment().check_each_call);
  CHECK_FALSE(LibraryOptions::from_environment().override_file);
}

TEST_CASE("A variable with a value that means nothing is refused by name and value") {
  const CleanEnvironment clean;
  const auto [name, value] = GENERATE(table<std::string, std::string>({
      {"MOE_TUNE_MODE", "TUNE"},
      {"MOE_TUNE_MODE", "OFF"},
      {"MOE_TUNE_MODE", " read"},
      {"MOE_TUNE_CHECK", "yes"},
      {"MOE_TUNE_CHECK", "2"},
      {"MOE_TUNE_CHECK", "01"},
  }));
  const EnvironmentVariable variable(name, value);
  CHECK_THROWS_AS(LibraryOptions::from_environment(), UsageError);
  CHECK_THROWS_WITH(LibraryOptions::from_environment(), Contains(name + "=" + value));
}

TEST_CASE("A library needs no database, and none that exists") {
  CHECK_NOTHROW(Library(LibraryOptions{}));
  const test::TemporaryFolder folder;
  LibraryOptions options;
  options.databases = {folder / "none.json"};
  CHECK_NOTHROW(Library(options));
}

TEST_CASE("An override file that is missing or damaged is refused by name") {
  const test::TemporaryFolder folder;
  LibraryOptions options;
  options.override_file = folder / "override.json";
  CHECK_THROWS_WITH(Library(options), Contains("override.json"));
  std::ofstream(*options.override_file)
      << R"({"forward": {"BLOCK_M": 100, "BLOCK_N": 128, "BLOCK_K": 64, "warps": 4, "stages": 3}})";
  CHECK_THROWS_AS(Library(options), UsageError);
  CHECK_THROWS_WITH(Library(options), Contains("override.json") && Contains("BLOCK_M") && Contains("100"));
}

TEST_CASE("A database that is not readable as one is refused by name or set aside, never taken for an empty one in silence") {
  const test::TemporaryFolder folder;
  LibraryOptions options;
  options.databases = {folder / "db.json"};
  std::filesystem::create_directory(options.databases.front());
  CHECK_THROWS_WITH(Library(options), Contains("db.json"));
}

TEST_CASE("The status of a device that is not there is an error that says so") {
  Library library(LibraryOptions{});
  for (const int device : {-1, 4096}) {
    try {
      library.status(device);
      FAIL("no error");
    } catch (const UsageError& error) {
      CHECK_THAT(error.what(), Contains("device " + std::to_string(device) + " does not exist"));
    } catch (const EnvironmentError& error) {
      CHECK_THAT(error.what(), Contains("NVIDIA driver"));
    }
  }
}
