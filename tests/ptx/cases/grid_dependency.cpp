#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

InstructionFamily grid_dependency_family() {
  InstructionFamily family{.name = "grid_dependency", .file = "grid_dependency.cuh", .tests = {}};
  const Words start = random_words(256, 51);
  const auto stepped = [&](int rounds) {
    return words(256, [&](auto i) {
      std::uint32_t value = start[i];
      for (int round = 0; round < rounds; ++round) value = (value ^ value >> 15) * 0x2c1b3c6du + 1;
      return value;
    });
  };
  family.tests.push_back({.name = "three launches",
                          .kernel = "steps_on_words<2000>",
                          .blocks = 4,
                          .threads = 64,
                          .launches = 3,
                          .output = start,
                          .expected = stepped(6000)});
  family.tests.push_back({.name = "one launch, without the attribute",
                          .kernel = "steps_on_words<10>",
                          .blocks = 4,
                          .threads = 64,
                          .output = start,
                          .expected = stepped(10)});
  family.tests.push_back({.name = "one thread waits for its block",
                          .kernel = "one_thread_waits",
                          .blocks = 4,
                          .threads = 64,
                          .launches = 3,
                          .output = start,
                          .expected = words(256, [&](auto i) { return ((start[i] * 3 + 1) * 3 + 1) * 3 + 1; })});
  return family;
}

}  // namespace moe_tune::test
