#include "runtime/tune/statistics.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

using namespace moe_tune;

namespace {

std::vector<double> one_to(int n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 1.0);
  std::shuffle(values.begin(), values.end(), std::mt19937(1));
  return values;
}

/// How often the interval of `n` samples holds the true median.
template <class Distribution>
double coverage(int n, Distribution distribution, double true_median) {
  constexpr int trials = 4000;
  std::mt19937_64 random(7);
  int held = 0;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> samples(static_cast<std::size_t>(n));
    for (double& sample : samples) sample = distribution(random);
    const Interval ci = estimate_median(samples).ci95;
    held += ci.lo <= true_median && true_median <= ci.hi;
  }
  return static_cast<double>(held) / trials;
}

}  // namespace

TEST_CASE("the median of odd and even counts") {
  CHECK(median(std::vector<double>{3}) == 3);
  CHECK(median(std::vector<double>{5, 1}) == 3);
  CHECK(median(std::vector<double>{9, 1, 2}) == 2);
  CHECK(median(std::vector<double>{4, 1, 3, 2}) == 2.5);
}

TEST_CASE("the confidence interval has the ranks of the binomial table") {
  // Ranks from tables of the sign test at 95%.
  CHECK(estimate_median(one_to(1)).ci95 == Interval{1, 1});
  CHECK(estimate_median(one_to(5)).ci95 == Interval{1, 5});
  CHECK(estimate_median(one_to(6)).ci95 == Interval{1, 6});
  CHECK(estimate_median(one_to(8)).ci95 == Interval{1, 8});
  CHECK(estimate_median(one_to(9)).ci95 == Interval{2, 8});
  CHECK(estimate_median(one_to(10)).ci95 == Interval{2, 9});
  CHECK(estimate_median(one_to(25)).ci95 == Interval{8, 18});
  CHECK(estimate_median(one_to(100)).ci95 == Interval{40, 61});
  // 2^-n is no double any more.
  const Interval many = estimate_median(one_to(4001)).ci95;
  CHECK(many.lo == Approx(2001 - 62).margin(1));
  CHECK(many.hi == Approx(2001 + 62).margin(1));
}

TEST_CASE("the interval holds the median of skewed and symmetric distributions") {
  for (const int n : {6, 15, 60}) {
    CAPTURE(n);
    CHECK(coverage(n, std::exponential_distribution<double>(1.0), std::log(2.0)) >= 0.94);
    CHECK(coverage(n, std::normal_distribution<double>(10.0, 1.0), 10.0) >= 0.94);
    CHECK(coverage(n, std::normal_distribution<double>(10.0, 1.0), 10.0) <= 0.99);
  }
}

TEST_CASE("a ratio over common rounds is free of what slows a whole round down") {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> drift(1.0, 2.0);
  std::normal_distribution<double> noise(1.0, 0.001);
  std::vector<double> slow, fast;
  for (int round = 0; round < 30; ++round) {
    const double clock = drift(random);
    slow.push_back(103 * clock * noise(random));
    fast.push_back(100 * clock * noise(random));
  }
  const Estimate ratio = estimate_ratio(slow, fast);
  CHECK(ratio.median == Approx(1.03).epsilon(0.002));
  CHECK(ratio.ci95.lo > 1.028);
  CHECK(ratio.ci95.hi < 1.032);
  CHECK_FALSE(separate(estimate_median(slow).ci95, estimate_median(fast).ci95));  // the drift hides 3% without pairing
}

TEST_CASE("intervals are separate when they share no point") {
  CHECK(separate({1, 2}, {3, 4}));
  CHECK(separate({3, 4}, {1, 2}));
  CHECK_FALSE(separate({1, 2}, {2, 4}));
  CHECK_FALSE(separate({1, 5}, {2, 4}));
}
