#include "tests/ptx/support/micro_test.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "moe_tune/error.hpp"
#include "tests/ptx/support/kernel_files.hpp"
#include "tests/templates/claimed_archs.hpp"

namespace moe_tune::test {

namespace {

constexpr int most_shown = 8;

bool matches(const MicroTest& test, std::uint32_t expected, std::uint32_t actual) {
  if (expected == actual) return true;
  if (test.exact()) return false;
  const double e = std::bit_cast<float>(expected), a = std::bit_cast<float>(actual);
  if (std::isnan(e) || std::isnan(a)) return std::isnan(e) && std::isnan(a);
  if (std::isinf(e) || std::isinf(a)) return e == a;
  return std::abs(a - e) <= test.tolerance * std::max(std::abs(e), test.scale);
}

std::string shown(const MicroTest& test, std::uint32_t word) {
  return test.exact() ? fmt::format("{:#010x}", word) : fmt::format("{} ({:#010x})", std::bit_cast<float>(word), word);
}

}  // namespace

std::vector<std::uint32_t> output_before(const MicroTest& test) {
  return test.output.empty() ? std::vector<std::uint32_t>(test.expected.size(), poison) : test.output;
}

std::string difference(const MicroTest& test, std::span<const std::uint32_t> expected, std::span<const std::uint32_t> actual) {
  if (expected.size() != actual.size()) return fmt::format("{} words expected, {} found", expected.size(), actual.size());
  std::string out;
  int differing = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (matches(test, expected[i], actual[i]) || ++differing > most_shown) continue;
    out += fmt::format("  word {}: expected {}, found {}\n", i, shown(test, expected[i]), shown(test, actual[i]));
  }
  return differing == 0 ? "" : fmt::format("{} of {} words differ:\n{}", differing, expected.size(), out);
}

std::set<std::string> archs(const InstructionFamily& family) { return claimed_archs(kernel_file(family.file)); }

std::string entry_name(std::size_t index) { return fmt::format("micro_{}", index); }

std::string source(const InstructionFamily& family) {
  std::set<std::string_view> seen;
  std::string out = inline_template(family.file, kernel_and_template_files(), seen);
  out += fmt::format("{}instantiation{}\n", section_begin, section_end);
  for (std::size_t i = 0; i < family.tests.size(); ++i) {
    const MicroTest& test = family.tests[i];
    out += fmt::format(
        "// {}\n"
        "MOE_KERNEL({}, 1)\n"
        "{}(const MOE_GRID_CONSTANT moe_tune::micro::Arguments args) {{\n"
        "  using namespace moe_tune;\n"
        "  using namespace moe_tune::ptx;\n"
        "  micro::{}(args);\n"
        "}}\n",
        test.name, test.threads, entry_name(i), test.kernel);
  }
  return out;
}

}  // namespace moe_tune::test
