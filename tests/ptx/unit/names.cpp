// The vocabulary cannot grow untested: every function of templates/ptx/ has a twin, and some micro-kernel calls it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "runtime/emulator/twins.hpp"
#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/kernel_files.hpp"

using namespace moe_tune;

namespace {

/// Without comments and the first lines of macros.
std::string code_of(std::string_view text) {
  static const std::regex other("//[^\n]*|#define[^\n]*");
  return std::regex_replace(std::string(text), other, "");
}

/// The functions that a text defines, overloads as often as there are.
std::multiset<std::string> functions(std::string_view text) {
  static const std::regex definition(R"(\bMOE_DEVICE\s[^(;={}]*?\b(\w+)\()");
  const std::string code = code_of(text);
  std::multiset<std::string> names;
  for (auto match = std::sregex_iterator(code.begin(), code.end(), definition); match != std::sregex_iterator(); ++match) {
    names.insert((*match)[1]);
  }
  return names;
}

/// By path, those of every file of ptx/.
std::map<std::string, std::multiset<std::string>> vocabulary(std::span<const TemplateFile> files) {
  std::map<std::string, std::multiset<std::string>> all;
  for (const TemplateFile& file : files) {
    if (file.path.starts_with("ptx/")) all[std::string(file.path)] = functions(file.text);
  }
  return all;
}

/// What micro-kernels name of ptx::.
std::set<std::string> used_names() {
  static const std::regex use(R"(\bptx::(\w+))");
  std::set<std::string> names;
  for (const TemplateFile& file : embedded_micro_kernels()) {
    const std::string code = code_of(file.text);
    for (auto match = std::sregex_iterator(code.begin(), code.end(), use); match != std::sregex_iterator(); ++match) {
      names.insert((*match)[1]);
    }
  }
  return names;
}

}  // namespace

TEST_CASE("vocabulary: every file has a twin with the same functions") {
  const auto instructions = vocabulary(embedded_templates());
  auto twins = vocabulary(embedded_twins());
  twins.erase("ptx/machine.cuh");  // what the twins call
  REQUIRE(instructions.size() > 15);
  for (const auto& [path, names] : instructions) {
    INFO(path);
    CHECK_FALSE(names.empty());
    CHECK(names == twins[path]);
  }
  for (const auto& [path, names] : twins) {
    INFO(path);
    CHECK(instructions.contains(path));
  }
}

TEST_CASE("vocabulary: some micro-kernel calls every function") {
  const std::set<std::string> used = used_names();
  for (const auto& [path, names] : vocabulary(embedded_templates())) {
    for (const std::string& name : names) {
      INFO(path << ": " << name);
      CHECK(used.contains(name));
    }
  }
}

TEST_CASE("vocabulary: some test runs every micro-kernel") {
  std::map<std::string, std::set<std::string>> called;
  for (const test::InstructionFamily& family : test::families()) {
    for (const test::MicroTest& test : family.tests) called[family.file].insert(test.kernel.substr(0, test.kernel.find('<')));
  }
  static const std::regex kernel(R"(\bMOE_DEVICE void (\w+)\(const Arguments& args\))");
  for (const TemplateFile& file : embedded_micro_kernels()) {
    const std::string code = code_of(file.text);
    for (auto match = std::sregex_iterator(code.begin(), code.end(), kernel); match != std::sregex_iterator(); ++match) {
      INFO(file.path << ": " << (*match)[1]);
      CHECK(called[std::string(file.path)].contains((*match)[1]));
    }
  }
}

TEST_CASE("vocabulary: definitions are found") {
  CHECK(functions("MOE_DEVICE void f(int a) { g(a); }") == std::multiset<std::string>{"f"});
  CHECK(functions("template <int N>\nMOE_DEVICE float* g(int a) {}\nMOE_DEVICE u32 g(u32) {}") ==
        std::multiset<std::string>{"g", "g"});
  CHECK(functions("// MOE_DEVICE void f(int a)\nvoid h();\n#define MOE_DEVICE inline\n").empty());
}
