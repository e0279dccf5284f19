// Statistics of timings: medians and distribution-free confidence intervals.
#pragma once

#include <span>

namespace moe_tune {

/// A closed interval.
struct Interval {
  double lo = 0;
  double hi = 0;

  bool operator==(const Interval&) const = default;
};

/// A median and its 95% confidence interval.
struct Estimate {
  double median = 0;
  Interval ci95;
};

/// The middle value, or the mean of the two middle ones. `samples` is not empty.
double median(std::span<const double> samples);

/// The median with the tightest pair of order statistics, symmetric in rank, that holds the true median with at least 95%
/// probability whatever the distribution. Below 6 samples no pair does; then the interval is the range of the samples.
/// `samples` is not empty.
Estimate estimate_median(std::span<const double> samples);

/// The median of a[i] / b[i] and its confidence interval. The two were sampled in the same rounds, so that what slows a round
/// down (clocks, power) cancels. Same size, not empty, b > 0.
Estimate estimate_ratio(std::span<const double> a, std::span<const double> b);

/// Whether the intervals have no point in common.
bool separate(const Interval& a, const Interval& b);

}  // namespace moe_tune
