// Who may include whom. CMake's link targets enforce the same among libraries; this also covers headers that need no linking.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Rule {
  std::string_view folder;                ///< files below it
  std::vector<std::string_view> allowed;  ///< beginnings of what they may include in quotes
};

// "moe_tune/" are the public headers: those of generator/include and of runtime/include.
const std::vector<std::string_view> generator_headers = {
    "moe_tune/config.hpp",  "moe_tune/error.hpp",          "moe_tune/export.hpp", "moe_tune/model_shape.hpp",
    "moe_tune/problem.hpp", "moe_tune/router_problem.hpp", "generator/"};

std::vector<std::string_view> with(std::vector<std::string_view> folders, std::initializer_list<std::string_view> more) {
  folders.insert(folders.end(), more);
  return folders;
}

// The longest matching folder decides.
const std::vector<Rule>& rules() {
  static const std::vector<std::string_view> db = with(generator_headers, {"tuning_db/"});
  static const std::vector<std::string_view> jit = with(db, {"runtime/jit/"});
  static const std::vector<std::string_view> launch = with(jit, {"runtime/launch/", "runtime/reference/", "templates/abi/"});
  static const std::vector<std::string_view> ops = with(launch, {"runtime/ops/", "moe_tune/", "moe_tune.h"});
  static const std::vector<Rule> all = {
      {"generator/", generator_headers},
      {"runtime/reference/", with(generator_headers, {"runtime/reference/", "templates/abi/"})},
      {"runtime/io/",
       with(generator_headers, {"runtime/io/", "runtime/reference/half.hpp", "runtime/reference/parallel_for.hpp"})},
      {"tuning_db/", db},
      {"runtime/jit/", jit},
      {"runtime/launch/", launch},
      {"runtime/emulator/", with(launch, {"runtime/emulator/"})},
      {"runtime/ops/", ops},
      {"runtime/tune/", with(ops, {"runtime/tune/", "runtime/emulator/"})},
      {"runtime/blocks/", with(ops, {"runtime/blocks/", "runtime/io/"})},
      {"runtime/include/", {"moe_tune/", "moe_tune.h"}},
      {"tools/", with(ops, {"runtime/tune/", "runtime/emulator/", "runtime/blocks/", "runtime/io/", "tools/"})},
  };
  return all;
}

/// Why a file must not have this include; empty when it may. `include` is with its quotes or angle brackets.
std::string violation(std::string_view file, std::string_view include) {
  const std::string_view name = include.substr(1, include.size() - 2);
  if (include.front() == '<') {
    if (name.starts_with("CLI/") && !file.starts_with("tools/")) return "CLI11 belongs in tools/";
    if (name.starts_with("nlohmann/") && !file.starts_with("generator/support/json."))
      return "JSON goes through generator/support/json.hpp";
    const bool cuda = name.starts_with("cuda") || name.starts_with("nvrtc");
    if (cuda && !file.starts_with("runtime/") && !file.starts_with("tools/")) return "no CUDA below runtime/";
    return "";
  }
  const Rule* rule = nullptr;
  for (const Rule& candidate : rules()) {
    if (file.starts_with(candidate.folder)) rule = &candidate;
  }
  if (rule == nullptr) return "no rule for this folder";
  const bool allowed =
      std::any_of(rule->allowed.begin(), rule->allowed.end(), [&](auto prefix) { return name.starts_with(prefix); });
  return allowed ? "" : std::string(rule->folder) + " must not include it";
}

std::vector<std::string> includes_of(const fs::path& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*(<[^>]+>|"[^"]+"))");
  std::ifstream stream(file);
  std::vector<std::string> includes;
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (std::regex_search(line, match, pattern)) includes.push_back(match[1]);
  }
  return includes;
}

}  // namespace

TEST_CASE("Every include goes in the allowed direction") {
  const fs::path root = MOE_TUNE_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"generator", "tuning_db", "runtime", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".hpp" && extension != ".cpp" && extension != ".h" && extension != ".c") continue;
      ++files;
      const std::string file = fs::relative(entry.path(), root).generic_string();
      for (const std::string& include : includes_of(entry.path())) {
        INFO(file << " includes " << include);
        CHECK(violation(file, include) == "");
      }
    }
  }
  CHECK(files > 50);
}

TEST_CASE("The rules refuse what they are there for") {
  CHECK(violation("generator/emit.cpp", "\"tuning_db/store.hpp\"") != "");
  CHECK(violation("generator/emit.cpp", "<cuda.h>") != "");
  CHECK(violation("generator/emit.cpp", "<nlohmann/json.hpp>") != "");
  CHECK(violation("tuning_db/store.cpp", "\"runtime/jit/nvrtc.hpp\"") != "");
  CHECK(violation("runtime/jit/nvrtc.cpp", "\"runtime/launch/device_memory.hpp\"") != "");
  CHECK(violation("runtime/launch/gemm_kernel.cpp", "\"runtime/tune/tuner.hpp\"") != "");
  CHECK(violation("runtime/blocks/qwen3.cpp", "\"runtime/tune/tuner.hpp\"") != "");
  CHECK(violation("runtime/tune/tuner.cpp", "\"tools/table.hpp\"") != "");
  CHECK(violation("runtime/tune/tuner.cpp", "<CLI/App.hpp>") != "");
  CHECK(violation("runtime/tune/tuner.cpp", "\"runtime/ops/forward.hpp\"") == "");
  CHECK(violation("tools/tune.cpp", "\"runtime/tune/tuner.hpp\"") == "");
  CHECK(violation("tools/tune.cpp", "<CLI/App.hpp>") == "");
  CHECK(violation("runtime/jit/driver.hpp", "<cuda.h>") == "");
  CHECK(violation("attic/old.cpp", "\"x.hpp\"") != "");
}
