#include "tuning_db/merge.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "tuning_db/token_distance.hpp"

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

/// Whether the times of both can be compared: the same kind of evidence, for the same kernels.
bool are_peers(const Entry& a, const Entry& b) { return a.source == b.source && a.gen == b.gen && a.env.nvrtc == b.env.nvrtc; }

/// Entries of one workload and device that are peers, by precedence.
using Peers = std::vector<const Entry*>;

/// Among peers the one that was measured nearest speaks for a token count; of two at the same the first.
std::vector<Entry> divide(const Peers& peers) {
  // After no other count the nearest one can change.
  std::set<int64_t> last;
  for (const Entry* entry : peers) {
    last.insert({entry->tokens.lo - 1, entry->tokens.hi});
    for (const Entry* other : peers) last.insert(last_nearer_to_smaller(entry->tokens.measured, other->tokens.measured));
  }
  std::vector<Entry> parts;
  const Entry* before = nullptr;
  int64_t previous = 0;
  for (const int64_t hi : last) {
    const Entry* nearest = nullptr;
    for (const Entry* entry : peers) {
      if (!entry->tokens.holds(hi)) continue;
      if (nearest == nullptr || nearer(entry->tokens.measured, nearest->tokens.measured, hi)) nearest = entry;
    }
    if (nearest != nullptr && nearest == before) {
      parts.back().tokens.hi = hi;
    } else if (nearest != nullptr) {
      parts.push_back(*nearest);
      parts.back().tokens.lo = previous + 1;
      parts.back().tokens.hi = hi;
    }
    before = nearest;
    previous = hi;
  }
  return parts;
}

}  // namespace

std::vector<Entry> resolve_overlaps(const std::vector<Entry>& by_precedence) {
  std::map<Key, std::vector<Peers>> groups;
  for (const Entry& entry : by_precedence) {
    std::vector<Peers>& of_key = groups[{entry.problem, entry.env.key}];
    auto peers = std::find_if(of_key.begin(), of_key.end(), [&](const Peers& p) { return are_peers(*p.front(), entry); });
    if (peers == of_key.end()) peers = of_key.insert(of_key.end(), Peers());
    peers->push_back(&entry);
  }
  std::vector<Entry> result;
  for (const auto& [key, of_key] : groups) {
    Claims claims;
    for (const Peers& peers : of_key) {
      for (const Entry& part : divide(peers)) {
        for (const auto& [lo, hi] : unclaimed(claims, part.tokens.lo, part.tokens.hi)) {
          claims.emplace(lo, hi);
          result.push_back(part);
          result.back().tokens.lo = lo;
          result.back().tokens.hi = hi;
        }
      }
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
