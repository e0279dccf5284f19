#include "tools/online_tuning.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <vector>

#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using namespace moe_tune::cli;
using test::EnvironmentVariable;

namespace {

using Paths = std::vector<std::filesystem::path>;

const EnvironmentVariable databases("MOE_TUNE_DB", "/one.json:/two.json");
const EnvironmentVariable no_override("MOE_TUNE_OVERRIDE", std::nullopt);

}  // namespace

TEST_CASE("The library of a verb reads the databases of the environment, or the one that --db names") {
  const EnvironmentVariable mode("MOE_TUNE_MODE", std::nullopt);
  CHECK(library_options({}).databases == Paths{"/one.json", "/two.json"});
  CHECK(library_options({.path = "/three.json"}).databases == Paths{"/three.json"});
  CHECK_FALSE(library_options({}).tune);
  CHECK(library_options({}).tuner == nullptr);
  const EnvironmentVariable off("MOE_TUNE_MODE", "off");
  CHECK(library_options({}).databases.empty());
  CHECK(library_options({.path = "/three.json"}).databases == Paths{"/three.json"});
}

TEST_CASE("With MOE_TUNE_MODE=tune the library of a verb has a tuner") {
  const EnvironmentVariable mode("MOE_TUNE_MODE", "tune");
  const test::TemporaryFolder folder;
  const LibraryOptions options = library_options({.path = (folder / "db.json").string()});
  CHECK(options.tune);
  CHECK(options.tuner != nullptr);
  CHECK_NOTHROW(Library(options));
}
