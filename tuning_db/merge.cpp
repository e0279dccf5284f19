#include "tuning_db/merge.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace moe_tune {
namespace {

using Key = std::pair<Problem, DeviceKey>;
using Claims = std::map<int64_t, int64_t>;  // first -> last token count already spoken for, disjoint

/// The parts of [lo, hi] that nobody claims yet, in ascending order.
std::vector<std::pair<int64_t, int64_t>> unclaimed(const Claims& claims, int64_t lo, int64_t hi) {
  std::vector<std::pair<int64_t, int64_t>> pieces;
  int64_t next = lo;
  auto claim = claims.upper_bound(lo);
  if (claim != claims.begin()) --claim;
  for (; claim != claims.end() && claim->first <= hi; ++claim) {
    if (claim->second < next) continue;
    if (claim->first > next) pieces.emplace_back(next, claim->first - 1);
    if (claim->second >= hi) return pieces;
    next = claim->second + 1;
  }
  pieces.emplace_back(next, hi);
  return pieces;
}

}  // namespace

std::vector<Entry> resolve_overlaps(const std::vector<Entry>& by_precedence) {
  std::map<Key, Claims> claims_of;
  std::vector<Entry> result;
  for (const Entry& entry : by_precedence) {
    Claims& claims = claims_of[{entry.problem, entry.env.key}];
    for (const auto& [lo, hi] : unclaimed(claims, entry.tokens.lo, entry.tokens.hi)) {
      claims.emplace(lo, hi);
      result.push_back(entry);
      result.back().tokens.lo = lo;
      result.back().tokens.hi = hi;
    }
  }
  std::sort(result.begin(), result.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.problem, a.env.key, a.tokens.lo) < std::tie(b.problem, b.env.key, b.tokens.lo);
  });
  return result;
}

std::vector<Entry> merge_entries(const std::vector<Entry>& existing, const std::vector<Entry>& incoming) {
  std::vector<Entry> all = incoming;
  all.insert(all.end(), existing.begin(), existing.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const Entry& a, const Entry& b) { return std::tie(a.source, a.date) > std::tie(b.source, b.date); });
  return resolve_overlaps(all);
}

}  // namespace moe_tune
