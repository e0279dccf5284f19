// The judge of micro-tests sees what it must.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/boxes.hpp"
#include "tests/ptx/support/halves.hpp"

using namespace moe_tune;
using namespace moe_tune::test;

namespace {

Words one(float value) { return {bits(value)}; }

}  // namespace

TEST_CASE("micro-tests: a word that differs is seen") {
  const MicroTest exact;
  CHECK(difference(exact, Words{1, 2, 3}, Words{1, 2, 3}).empty());
  CHECK_FALSE(difference(exact, Words{1, 2, 3}, Words{1, 2, 4}).empty());
  CHECK_FALSE(difference(exact, Words{1, 2, 3}, Words{1, 2}).empty());
  CHECK_FALSE(difference(exact, Words{1}, Words{poison}).empty());
  CHECK_FALSE(difference(exact, one(0.0f), one(-0.0f)).empty());
}

TEST_CASE("micro-tests: a float may be off by the tolerance and no more") {
  MicroTest test;
  test.tolerance = 0.01;
  CHECK(difference(test, one(100), one(101)).empty());
  CHECK_FALSE(difference(test, one(100), one(101.1f)).empty());
  CHECK_FALSE(difference(test, one(0), one(1e-30f)).empty());
  test.scale = 10;
  CHECK(difference(test, one(0), one(0.09f)).empty());
  CHECK_FALSE(difference(test, one(0), one(0.11f)).empty());
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  CHECK(difference(test, one(nan), one(-nan)).empty());
  CHECK(difference(test, one(infinity), one(infinity)).empty());
  CHECK_FALSE(difference(test, one(nan), one(0)).empty());
  CHECK_FALSE(difference(test, one(0), one(nan)).empty());
  CHECK_FALSE(difference(test, one(infinity), one(-infinity)).empty());
  CHECK_FALSE(difference(test, one(1), one(infinity)).empty());
  // Poison is a float, but far from what a test expects.
  CHECK_FALSE(difference(test, one(1), Words{poison}).empty());
}

TEST_CASE("micro-tests: names are distinct, and no test expects what was there before") {
  for (const InstructionFamily& family : families()) {
    std::set<std::string> names;
    for (const MicroTest& test : family.tests) {
      INFO(family.name << ": " << test.name);
      CHECK(names.insert(test.name).second);
      const bool stores_nothing = test.name.starts_with("store") && test.name.find("(72, 2)") != std::string::npos;
      CHECK((difference(test, test.expected, output_before(test)) == "") == stores_nothing);
    }
  }
}

TEST_CASE("micro-tests: halves by definition") {
  CHECK(to_half(bf16_format, 1.0) == 0x3f80);
  CHECK(to_half(fp16_format, -2.0) == 0xc000);
  CHECK(to_half(fp16_format, 65504.0) == 0x7bff);
  CHECK(to_half(fp16_format, 65519.0) == 0x7bff);
  CHECK(to_half(fp16_format, 65520.0) == 0x7c00);
  CHECK(to_half(fp16_format, 0x1p-24) == 1);
  CHECK(to_half(fp16_format, 0x1p-25) == 0);
  CHECK(to_half(bf16_format, 1.0 + 0x1p-8) == 0x3f80);
  CHECK(to_half(bf16_format, 1.0 + 0x3p-8) == 0x3f82);
  for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    for (const HalfFormat& format : {bf16_format, fp16_format}) {
      const float value = from_half(format, static_cast<std::uint16_t>(pattern));
      if (!std::isnan(value) && to_half(format, value) != pattern) FAIL_CHECK(format.name << " " << pattern);
    }
  }
}

TEST_CASE("micro-tests: swizzles by definition") {
  // Line 1 of 128 bytes: the first chunk goes to the second place; line 3, spans of 64 and 32 bytes.
  CHECK(swizzled_position(Swizzle::bytes128, 128) == 128 + 16);
  CHECK(swizzled_position(Swizzle::bytes128, 7 * 128 + 7 * 16 + 5) == 7 * 128 + 5);
  CHECK(swizzled_position(Swizzle::bytes128, 8 * 128) == 8 * 128);
  CHECK(swizzled_position(Swizzle::bytes64, 3 * 128 + 64) == 3 * 128 + 64 + 48);
  CHECK(swizzled_position(Swizzle::bytes32, 3 * 128 + 32 + 16) == 3 * 128 + 32);
  CHECK(swizzled_position(Swizzle::none, 1000) == 1000);
}
