#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

namespace {

MicroTest load_test(std::uint32_t bytes, std::uint32_t offset, bool policy) {
  const Words input = random_words(bytes / 4 + 4, 110);
  return {.name = fmt::format("{} bytes to {}{}", bytes, offset, policy ? " with a policy" : ""),
          .kernel = fmt::format("load_bytes<{}, {}, {}>", bytes, offset, policy),
          .shared_bytes = bytes + 64 + 8,
          .input = input,
          .expected = words(bytes / 4 + 16, [&](auto i) {
            return offset / 4 <= i && i < (offset + bytes) / 4 ? input[4 + i - offset / 4] : ~0u;
          })};
}

MicroTest store_test(std::uint32_t bytes, std::uint32_t offset, bool policy, const char* fence) {
  const Words input = random_words(bytes / 4, 111);
  return {.name = fmt::format("{} bytes from shared memory{}, fence {}", bytes, policy ? " with a policy" : "", fence),
          .kernel = fmt::format("store_bytes<{}, {}, {}, micro::Fence::{}>", bytes, offset, policy, fence),
          .shared_bytes = bytes,
          .input = input,
          .expected = words((bytes + offset) / 4 + 8, [&](auto i) {
            return offset / 4 <= i && i < (offset + bytes) / 4 ? input[i - offset / 4] : poison;
          })};
}

MicroTest stages_test(std::uint32_t pending) {
  constexpr std::uint32_t pieces = 7;
  const Words input = random_words(pieces * 128, 112);
  return {.name = fmt::format("bulk_wait_read<{}>", pending),
          .kernel = fmt::format("stages_stored<{}, {}>", pending, pieces),
          .shared_bytes = (pending + 1) * 512,
          .input = input,
          .expected = words(pieces * 128, [&](auto i) { return input[i / 128 * 128 + (31 - i / 4 % 32) * 4 + i % 4]; })};
}

MicroTest global_test(bool bulk_writes, bool bulk_reads, const char* fence) {
  const Words input = random_words(128, 113);
  Words before(260, poison), expected(260, poison);
  before[0] = 0;
  expected[0] = 1;
  for (std::uint32_t i = 0; i < 128; ++i) {
    expected[4 + i] = input[i];
    expected[132 + i] = input[(31 - i / 4) * 4 + i % 4];
  }
  return {.name = fmt::format("global data, {} to {}, fence {}", bulk_writes ? "bulk" : "ordinary",
                              bulk_reads ? "bulk" : "ordinary", fence),
          .kernel = fmt::format("pass_on_globally<{}, {}, micro::Fence::{}>", bulk_writes, bulk_reads, fence),
          .blocks = 2,
          .shared_bytes = 520,
          .input = input,
          .output = before,
          .expected = expected};
}

}  // namespace

InstructionFamily bulk_copy_family() {
  InstructionFamily family{.name = "bulk_copy", .file = "bulk_copy.cuh", .tests = {}};
  for (const bool policy : {false, true}) {
    family.tests.push_back(load_test(16, 0, policy));
    family.tests.push_back(load_test(48, 16, policy));
    family.tests.push_back(load_test(1008, 48, policy));
    family.tests.push_back(load_test(4096, 0, policy));
    family.tests.push_back(store_test(16, 0, policy, "shared"));
    family.tests.push_back(store_test(1008, 16, policy, "shared"));
    family.tests.push_back(store_test(4096, 48, policy, "all"));
  }
  for (const std::uint32_t pending : {0u, 1u, 3u}) family.tests.push_back(stages_test(pending));
  for (const char* fence : {"shared", "all"}) {
    family.tests.push_back(global_test(true, true, fence));
    family.tests.push_back(global_test(true, false, fence));
    family.tests.push_back(global_test(false, true, fence));
  }

  const Words random = random_words(5 * 64, 114);
  const Words floats = words(5 * 64, [&](auto i) { return bits(static_cast<float>(static_cast<int>(random[i] % 2001) - 1000)); });
  family.tests.push_back({.name = "bulk_reduce_add_f32",
                          .kernel = "add_floats<64>",
                          .blocks = 5,
                          .shared_bytes = 256,
                          .input = floats,
                          .output = Words(64, bits(0.5f)),
                          .expected = words(64, [&](auto i) {
                            float sum = 0.5f;
                            for (std::uint32_t block = 0; block < 5; ++block) sum += value_of(floats[block * 64 + i]);
                            return bits(sum);
                          })});
  const float start[] = {0x1p-127f, 1.0f, 0x1.8p-126f, 0x1p-126f};
  const float added[] = {0x1p-127f, 0x1p-24f, -0x1p-126f, 0x1p-127f};
  const float sums[] = {0x1p-126f, 1.0f, 0x1p-127f, 0x1.8p-126f};
  family.tests.push_back({.name = "bulk_reduce_add_f32 keeps subnormals",
                          .kernel = "add_floats<4>",
                          .shared_bytes = 16,
                          .input = words(4, [&](auto i) { return bits(added[i]); }),
                          .output = words(4, [&](auto i) { return bits(start[i]); }),
                          .expected = words(4, [&](auto i) { return bits(sums[i]); }),
                          .tolerance = 0});
  return family;
}

}  // namespace moe_tune::test
