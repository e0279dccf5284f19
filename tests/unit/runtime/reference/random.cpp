#include "runtime/reference/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <vector>

#include "runtime/reference/half.hpp"

using namespace moe_tune;

TEST_CASE("random: normal in mean, deviation and shape") {
  constexpr int count = 1 << 20;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  double largest = 0;
  int beyond_two = 0;
  for (int i = 0; i < count; ++i) {
    const double value = random_normal(7, i);
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
    largest = std::max(largest, std::abs(value));
    beyond_two += std::abs(value) > 2;
  }
  CHECK(std::abs(sum / count) < 0.005);
  CHECK(squares / count == Approx(1.0).epsilon(0.01));
  CHECK(fourth / count == Approx(2.7).epsilon(0.02));  // 3 - 6 / (5 * 4) for the sum of four uniforms; a normal has 3
  CHECK(largest < 3.47);
  CHECK(beyond_two / static_cast<double>(count) == Approx(0.0455).epsilon(0.1));
}

TEST_CASE("random: neighbours and seeds are independent") {
  constexpr int count = 1 << 18;
  double neighbours = 0;
  double seeds = 0;
  for (int i = 0; i < count; ++i) {
    neighbours += random_normal(1, i) * random_normal(1, i + 1);
    seeds += random_normal(1, i) * random_normal(2, i);
  }
  CHECK(std::abs(neighbours / count) < 0.01);
  CHECK(std::abs(seeds / count) < 0.01);
}

TEST_CASE("random: positions beyond 32 bits differ") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    seen.insert(random_bits(3, i));
    seen.insert(random_bits(3, i + (1ull << 32)));
  }
  CHECK(seen.size() == 2000);
}

TEST_CASE("random: a tensor holds its elements' values, scaled and rounded once") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    std::vector<std::uint16_t> values(100);
    fill_random(values, dtype, 0.125f, 9);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == from_float(random_normal(9, i) * 0.125f, dtype));
  }
}
