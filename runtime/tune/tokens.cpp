#include "runtime/tune/tokens.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <set>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

[[noreturn]] void fail(std::string_view text, std::string_view part) {
  throw UsageError(fmt::format(
      "--tokens \"{}\": \"{}\" is neither a count from 1 to {} nor a range LO:HI of such counts (example: 1,16,512 or "
      "1:8192)",
      text, part, max_tuned_tokens));
}

int parse_count(std::string_view text, std::string_view part, std::string_view digits) {
  int count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc() || end != digits.data() + digits.size() || count < 1 || count > max_tuned_tokens) fail(text, part);
  return count;
}

}  // namespace

std::span<const int> default_tokens() {
  static constexpr int ladder[] = {1, 4, 16, 64, 256, 1024, 4096, 8192};
  return ladder;
}

std::vector<int> parse_tokens(std::string_view text) {
  std::set<int> counts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, comma - begin);
    begin = comma + 1;
    const std::size_t colon = part.find(':');
    if (colon == std::string_view::npos) {
      counts.insert(parse_count(text, part, part));
      continue;
    }
    const int lo = parse_count(text, part, part.substr(0, colon));
    const int hi = parse_count(text, part, part.substr(colon + 1));
    if (lo > hi) fail(text, part);
    counts.insert({lo, hi});
    for (int power = 1; power < hi; power *= 2) {
      if (power > lo) counts.insert(power);
    }
  }
  return {counts.begin(), counts.end()};
}

int geometric_middle(int a, int b) {
  // The product is below 2^53, so that the square root's floor is exact.
  static_assert(static_cast<double>(max_tuned_tokens) * max_tuned_tokens < 9007199254740992.0);
  return static_cast<int>(std::sqrt(static_cast<double>(a) * static_cast<double>(b)));
}

std::vector<TokenRange> token_ranges(std::span<const int> measured) {
  std::vector<TokenRange> ranges;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const std::int64_t lo = i == 0 ? 1 : ranges.back().hi + 1;
    const std::int64_t hi =
        i + 1 == measured.size() ? std::int64_t{2} * measured[i] : geometric_middle(measured[i], measured[i + 1]);
    ranges.push_back({measured[i], lo, hi});
  }
  return ranges;
}

}  // namespace moe_tune
