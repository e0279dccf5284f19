// The study as a whole: how much of what is planted is caught, and the page about it.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string_view>

#include "generator/support/file.hpp"
#include "tests/mutation/studies.hpp"

namespace moe_tune::test {

namespace {

constexpr std::size_t fewest_mutants = 60;
constexpr double smallest_share = 0.95;

std::vector<Study> all_studies() {
  return {forward_plain_study(),
          forward_gather_study(),
          forward_scatter_study(),
          forward_sm90_study(),
          dx_sm90_study(),
          dw_sm90_study(),
          dw_sm90_accumulated_study(),
          dw_sm80_study(),
          router_few_study(),
          router_many_study(),
          router_gradient_study(),
          spread_rows_study(),
          scaled_swiglu_study(),
          ring_study(),
          store_study(),
          cluster_study(),
          gather_study(),
          queue_study(),
          copier_study(),
          ping_pong_study()};
}

std::string_view ending_text(Ending ending) {
  switch (ending) {
    case Ending::right:
      return "survives";
    case Ending::wrong_result:
      return "wrong result";
    case Ending::report:
      return "report";
    case Ending::deadlock:
      return "deadlock";
  }
  return "";
}

/// A cell of a table keeps to its line and its column.
std::string cell(std::string text) {
  constexpr std::size_t longest = 150;
  if (text.size() > longest) text = text.substr(0, longest) + " ...";
  for (char& c : text) {
    if (c == '|' || c == '\n') c = ' ';
  }
  return text;
}

}  // namespace

TEST_CASE("study: enough mutants, of which almost all are caught") {
  std::size_t mutants = 0, survivors = 0;
  for (const Study& study : all_studies()) {
    mutants += study.mutants.size();
    survivors += static_cast<std::size_t>(
        std::count_if(study.mutants.begin(), study.mutants.end(), [](const Mutant& mutant) { return !mutant.survives.empty(); }));
  }
  // check_study() holds every entry to what it says of itself, so counting entries is enough.
  CHECK(mutants >= fewest_mutants);
  CHECK(static_cast<double>(mutants - survivors) >= smallest_share * static_cast<double>(mutants));
}

TEST_CASE("study: a mutant that does not match its source is an error") {
  const std::string source = "// ---- ptx/a.cuh ----\nf();\n// ---- kernel.cuh ----\nf();\ng(); g();\n";
  CHECK(mutate(source, {"", "f();", ""}) == "// ---- ptx/a.cuh ----\nf();\n// ---- kernel.cuh ----\n\ng(); g();\n");
  CHECK(mutate(source, {"", "g();", "h();", 2, 2}).ends_with("g(); h();\n"));
  CHECK(mutate(source, {"", "g();", "h();", 0, 2}).ends_with("h(); h();\n"));
  CHECK_THROWS(mutate(source, {"", "g();", ""}));
  CHECK_THROWS(mutate(source, {"", "h();", ""}));
}

// Hidden: MOE_TUNE_MUTATION_PAGE=docs/results/mutation_study.md mutation "[page]"
TEST_CASE("page: everything once, written to the file in MOE_TUNE_MUTATION_PAGE", "[.][page]") {
  std::string tables, survivors;
  std::size_t mutants = 0, endings[4] = {};
  for (const Study& study : all_studies()) {
    tables +=
        fmt::format("\n## {}\n\n| planted | ends in | seed | first line of the report, or what is wrong |\n|---|---|---|---|\n",
                    study.subject.name);
    const std::vector<Outcome> outcomes = check_study(study);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      const Outcome& outcome = outcomes[i];
      const Mutant& mutant = study.mutants[i];
      ++mutants;
      ++endings[static_cast<int>(outcome.ending)];
      const bool caught = outcome.ending != Ending::right;
      tables += fmt::format("| {} | {} | {} | {} |\n", cell(mutant.fault), ending_text(outcome.ending),
                            caught ? std::to_string(outcome.seed) : "", cell(outcome.what));
      if (!caught) survivors += fmt::format("| {}: {} | {} |\n", study.subject.name, cell(mutant.fault), mutant.survives);
    }
  }
  const std::size_t caught = mutants - endings[static_cast<int>(Ending::right)];
  const std::string page = fmt::format(
      "# Mutation study\n\n"
      "Would the emulator notice? Faults of the kinds that kernels have in real life were planted, one at a time, in copies of "
      "emitted\n"
      "kernels - forward, gradients, routers, row operations - and of seven small sm90 pipelines (`tests/mutation/pipelines/`), "
      "and each copy was "
      "run with the\n"
      "seeds 0 to {last_seed} - every way in which the emulator schedules - until one showed it. A fault is caught when a run "
      "ends in "
      "a report, in a\n"
      "deadlock report, or with an output that differs from the reference. The kernels without a fault pass all seeds.\n\n"
      "**{caught} of {mutants} caught ({share:.1f}%)**: {reports} by a report, {deadlocks} as a deadlock, {wrong} by a wrong "
      "result "
      "alone.\n\n"
      "This page is written by a run of the tests, which hold it to what is caught and what survives:\n\n"
      "```\nMOE_TUNE_MUTATION_PAGE=docs/results/mutation_study.md build/release/bin/mutation '[page]'\n```\n\n"
      "## What survives\n\n| planted | why it is not caught |\n|---|---|\n{survivors}{tables}",
      fmt::arg("last_seed", seeds - 1), fmt::arg("caught", caught), fmt::arg("mutants", mutants),
      fmt::arg("share", 100.0 * static_cast<double>(caught) / static_cast<double>(mutants)),
      fmt::arg("reports", endings[static_cast<int>(Ending::report)]),
      fmt::arg("deadlocks", endings[static_cast<int>(Ending::deadlock)]),
      fmt::arg("wrong", endings[static_cast<int>(Ending::wrong_result)]), fmt::arg("survivors", survivors),
      fmt::arg("tables", tables));
  const char* file = std::getenv("MOE_TUNE_MUTATION_PAGE");
  REQUIRE(file != nullptr);
  write_file_atomic(file, page);
}

}  // namespace moe_tune::test
