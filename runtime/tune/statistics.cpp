#include "runtime/tune/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace moe_tune {
namespace {

std::vector<double> sorted(std::span<const double> samples) {
  std::vector<double> result(samples.begin(), samples.end());
  std::sort(result.begin(), result.end());
  return result;
}

double median_of_sorted(const std::vector<double>& s) {
  const std::size_t half = s.size() / 2;
  return s.size() % 2 == 1 ? s[half] : (s[half - 1] + s[half]) / 2;
}

/// The largest r (from 0) for which the r-th smallest and r-th largest of n samples enclose the median with 95% probability. The
/// number of samples below the median is binomial(n, 1/2); the interval misses when that number is at most r or at least n - r.
std::size_t confidence_rank(std::size_t n) {
  constexpr double miss_on_one_side = 0.025;
  double log_binomial = -static_cast<double>(n) * std::log(2.0);  // of 0 samples below; logarithms, or 2^-n underflows
  double missed = 0;
  for (std::size_t below = 0; below < n / 2; ++below) {
    missed += std::exp(log_binomial);
    if (missed > miss_on_one_side) return below == 0 ? 0 : below - 1;
    log_binomial += std::log(static_cast<double>(n - below) / static_cast<double>(below + 1));
  }
  return n / 2 == 0 ? 0 : n / 2 - 1;
}

}  // namespace

double median(std::span<const double> samples) { return median_of_sorted(sorted(samples)); }

Estimate estimate_median(std::span<const double> samples) {
  const std::vector<double> s = sorted(samples);
  const std::size_t rank = confidence_rank(s.size());
  return {median_of_sorted(s), {s[rank], s[s.size() - 1 - rank]}};
}

Estimate estimate_ratio(std::span<const double> a, std::span<const double> b) {
  std::vector<double> ratios(a.size());
  std::transform(a.begin(), a.end(), b.begin(), ratios.begin(), [](double x, double y) { return x / y; });
  return estimate_median(ratios);
}

bool separate(const Interval& a, const Interval& b) { return a.hi < b.lo || b.hi < a.lo; }

}  // namespace moe_tune
