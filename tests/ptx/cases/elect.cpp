#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

InstructionFamily elect_family() {
  InstructionFamily family{.name = "elect", .file = "elect.cuh", .tests = {}};
  family.tests.push_back({.name = "one lane, the same twice", .kernel = "elect_twice", .threads = 96, .expected = Words(192, 1)});
  family.tests.push_back({.name = "one lane runs the branch",
                          .kernel = "elected_lanes_count",
                          .blocks = 5,
                          .threads = 96,
                          .output = Words(3, 0),
                          .expected = {5, 10, 15}});
  return family;
}

}  // namespace moe_tune::test
