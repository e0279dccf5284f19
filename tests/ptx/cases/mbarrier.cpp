#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

InstructionFamily mbarrier_family() {
  InstructionFamily family{.name = "mbarrier", .file = "mbarrier.cuh", .tests = {}};
  const Words input = random_words(11 * 128, 100);
  const char* const waits[] = {"wait", "test", "attempt", "cluster"};
  Words values(input.begin(), input.begin() + 96);
  for (int round = 0; round < 5; ++round) {
    values = words(96, [&, before = values](auto i) { return before[i] * 3 + before[(i + 37) % 96]; });
  }
  for (const char* wait : waits) {
    family.tests.push_back({.name = fmt::format("phases, {}", wait),
                            .kernel = fmt::format("phases<96, 5, micro::Wait::{}>", wait),
                            .threads = 96,
                            .shared_bytes = 512,
                            .input = input,
                            .expected = values});
  }
  // Fresh: only the phase before, of parity 1, has ended. So after one arrival; after two, that of parity 0; and so on.
  family.tests.push_back(
      {.name = "parities", .kernel = "parities", .shared_bytes = 8, .expected = {0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1}});
  family.tests.push_back({.name = "mbarrier_invalidate",
                          .kernel = "lives_one_after_another",
                          .shared_bytes = 8,
                          .input = input,
                          .expected = words(96, [&](auto i) { return input[i / 32] + i % 32; })});
  for (const char* announce : {"before", "after", "in_parts", "twice"}) {
    for (const char* wait : waits) {
      family.tests.push_back({.name = fmt::format("bytes announced {}, {}", announce, wait),
                              .kernel = fmt::format("bytes_announced<micro::Announce::{}, micro::Wait::{}>", announce, wait),
                              .shared_bytes = 520,
                              .input = input,
                              .expected = Words(input.begin(), input.begin() + 128)});
    }
  }
  for (const std::uint32_t stages : {1u, 2u, 4u}) {
    Words sums(256, 0);
    for (std::uint32_t piece = 0; piece < 11; ++piece) {
      for (std::uint32_t i = 0; i < 256; ++i) sums[i] = sums[i] * (1 + i / 128) + input[piece * 128 + i % 128];
    }
    family.tests.push_back({.name = fmt::format("a ring of {} stages", stages),
                            .kernel = fmt::format("ring_of_bulk_loads<{}, 11>", stages),
                            .threads = 96,
                            .shared_bytes = stages * (512 + 16),
                            .input = input,
                            .expected = sums});
  }
  family.tests.push_back({.name = "cp_async_mbarrier_arrive_noinc",
                          .kernel = "copies_arrive",
                          .threads = 64,
                          .shared_bytes = 2056,
                          .input = input,
                          .expected = words(1024, [&](auto i) {
                            const std::uint32_t half = i / 256 % 2, t = i / 4 % 64;
                            return input[i / 256 * 256 + (half == 0 ? 63 - t : t ^ 33) * 4 + i % 4];
                          })});
  return family;
}

}  // namespace moe_tune::test
