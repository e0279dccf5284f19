#include "tests/mutation/support/subject.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <stdexcept>
#include <string_view>

#include "generator/templates.hpp"
#include "runtime/emulator/fault.hpp"

namespace moe_tune::test {

namespace {

/// Where `text` stands in `source`, sections of templates/ptx/ left out.
std::vector<std::size_t> find_all(std::string_view source, std::string_view text) {
  std::vector<std::size_t> found;
  const std::string ptx_section = std::string(section_begin) + "ptx/";
  for (std::size_t begin = 0; begin < source.size();) {
    const std::size_t end = std::min(source.find(section_begin, begin + 1), source.size());
    if (!source.substr(begin).starts_with(ptx_section)) {
      const std::string_view section = source.substr(begin, end - begin);
      for (std::size_t at = section.find(text); at != section.npos; at = section.find(text, at + 1)) found.push_back(begin + at);
    }
    begin = end;
  }
  return found;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

}  // namespace

std::string mutate(const std::string& source, const Mutant& mutant) {
  const std::vector<std::size_t> found = find_all(source, mutant.from);
  if (found.size() != static_cast<std::size_t>(mutant.matches)) {
    throw std::runtime_error(fmt::format("\"{}\" stands {} times in the source and not {} times: adapt the mutant \"{}\"",
                                         mutant.from, found.size(), mutant.matches, mutant.fault));
  }
  std::string result = source;
  // From the last to the first: the places of the others stay as they are.
  for (std::size_t i = found.size(); i > 0; --i) {
    if (mutant.which == 0 || mutant.which == static_cast<int>(i)) result.replace(found[i - 1], mutant.from.size(), mutant.to);
  }
  return result;
}

Outcome examine(const Subject& subject, const std::string& source) {
  const auto run = subject.build(source);
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    try {
      if (const std::string wrong = run(seed); !wrong.empty()) return {Ending::wrong_result, seed, wrong};
    } catch (const emulator::KernelHang& hang) {
      return {Ending::deadlock, seed, first_line(hang.what())};
    } catch (const emulator::KernelFault& fault) {
      return {Ending::report, seed, first_line(fault.what())};
    }
  }
  return {};
}

std::vector<Outcome> check_study(const Study& study) {
  {
    const Outcome unchanged = examine(study.subject, study.subject.source);
    INFO(study.subject.name << " without a fault, seed " << unchanged.seed << ": " << unchanged.what);
    REQUIRE(unchanged.ending == Ending::right);
  }
  std::vector<Outcome> outcomes;
  for (const Mutant& mutant : study.mutants) {
    INFO(study.subject.name << ": " << mutant.fault);
    try {
      const Outcome& outcome = outcomes.emplace_back(examine(study.subject, mutate(study.subject.source, mutant)));
      const bool caught = outcome.ending != Ending::right;
      fmt::print("{}: {}: {}\n", study.subject.name, mutant.fault,
                 caught ? fmt::format("seed {}: {}", outcome.seed, outcome.what) : "survives");
      CHECK(caught == mutant.survives.empty());
    } catch (const std::exception& error) {
      FAIL_CHECK(error.what());
    }
  }
  return outcomes;
}

}  // namespace moe_tune::test
