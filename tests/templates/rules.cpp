// What every template must keep to: it names its archs, includes only downwards, and leaves the hardware to ptx/.
#include <catch2/catch.hpp>

#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "generator/templates.hpp"
#include "tests/templates/claimed_archs.hpp"

using namespace moe_tune;

namespace {

std::string folder_of(std::string_view path) { return std::string(path.substr(0, path.find('/'))); }

/// abi, ptx < mainloop, schedule, epilogue < kernels.
int level_of(std::string_view path) {
  static const std::map<std::string, int> levels = {{"abi", 0},      {"ptx", 0},      {"mainloop", 1},
                                                    {"schedule", 1}, {"epilogue", 1}, {"kernels", 2}};
  const auto level = levels.find(folder_of(path));
  return level == levels.end() ? -1 : level->second;
}

/// Why `including` may not include what `line` names; empty when it may, or when the line includes nothing.
std::string include_fault(std::string_view including, const std::string& line) {
  static const std::regex include("\\s*#\\s*include\\b\\s*(.*)");
  std::smatch match;
  if (!std::regex_match(line, match, include)) return "";
  const std::string target = match[1];
  for (const TemplateFile& file : embedded_templates()) {
    if (target != '"' + std::string(file.path) + '"') continue;
    return level_of(file.path) <= level_of(including) ? "" : "includes upwards: " + target;
  }
  return "includes what is no template: " + target;
}

std::string without_comments(std::string text) {
  static const std::regex comment("//[^\n]*|/\\*[^]*?\\*/");
  return std::regex_replace(text, comment, "");
}

/// The first built-in of CUDA in `text`, comments aside; empty when there is none.
std::string hardware_word(const std::string& text) {
  static const std::regex word(
      "\\b(asm|__asm__|threadIdx|blockIdx|blockDim|gridDim|warpSize|__shared__|__sync\\w*|__shfl\\w*|atomic[A-Z]\\w*)\\b");
  std::smatch match;
  const std::string code = without_comments(text);
  return std::regex_search(code, match, word) ? match[0].str() : "";
}

}  // namespace

TEST_CASE("templates: each names the archs it is written for, all of them tested") {
  REQUIRE_FALSE(embedded_templates().empty());
  std::istringstream words(MOE_TUNE_TEMPLATE_ARCHS);
  const std::set<std::string> tested{std::istream_iterator<std::string>(words), {}};
  for (const TemplateFile& file : embedded_templates()) {
    CAPTURE(file.path);
    const std::set<std::string> claimed = claimed_archs(file);
    CHECK_FALSE(claimed.empty());
    for (const std::string& arch : claimed) {
      CAPTURE(arch);
      CHECK(tested.contains(arch));
    }
  }
}

TEST_CASE("templates: includes go to templates of the same level or below") {
  for (const TemplateFile& file : embedded_templates()) {
    CAPTURE(file.path);
    CHECK(level_of(file.path) >= 0);
    std::istringstream lines{std::string(file.text)};
    for (std::string line; std::getline(lines, line);) CHECK(include_fault(file.path, line) == "");
  }
}

TEST_CASE("templates: the include rule sees what it must") {
  CHECK(include_fault("kernels/k.cuh", "#include \"ptx/base.cuh\"") == "");
  CHECK(include_fault("ptx/base.cuh", "#include \"kernels/rows_sm80.cuh\"") != "");
  CHECK(include_fault("mainloop/m.cuh", "  #  include \"kernels/rows_sm80.cuh\"") != "");
  CHECK(include_fault("ptx/base.cuh", "#include <cuda_bf16.h>") != "");
  CHECK(include_fault("ptx/base.cuh", "#include \"absent.cuh\"") != "");
}

TEST_CASE("templates: built-ins and PTX stand in ptx/ alone") {
  for (const TemplateFile& file : embedded_templates()) {
    if (folder_of(file.path) == "ptx") continue;
    CAPTURE(file.path);
    CHECK(hardware_word(std::string(file.text)) == "");
  }
  CHECK(hardware_word("x = threadIdx.x;") == "threadIdx");
  CHECK(hardware_word("asm volatile(\"\");") == "asm");
  CHECK(hardware_word("v = __shfl_xor_sync(m, v, 1);") == "__shfl_xor_sync");
  CHECK(hardware_word("atomicAdd(p, 1);") == "atomicAdd");
  CHECK(hardware_word("// stride gridDim\n/* asm\n */ int plasma;") == "");
}
