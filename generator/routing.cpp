#include "generator/routing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr double max_alpha = 8.0;

/// splitmix64: a 64-bit counter-based generator (Steele, Lea, Flood 2014), the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Uniform in [0, bound).
  int below(int bound) { return static_cast<int>(unit() * bound); }

 private:
  std::uint64_t state_;
};

/// The weight of every expert: 1, or 1 / rank^alpha with the ranks shuffled.
std::vector<double> popularity(const RoutingSpec& spec, int E, Random& random) {
  std::vector<double> weights(E, 1.0);
  if (spec.kind == RoutingSpec::Kind::uniform) return weights;
  for (int i = 0; i < E; ++i) weights[i] = std::pow(i + 1.0, -spec.alpha);
  for (int i = E - 1; i > 0; --i) std::swap(weights[i], weights[random.below(i + 1)]);
  return weights;
}

/// Draws top_k distinct experts one after the other, each with probability proportional to its weight among those left.
void draw(const std::vector<double>& weights, int top_k, Random& random, std::vector<int>& left, std::vector<int>& drawn) {
  const int E = static_cast<int>(weights.size());
  left.resize(E);
  std::iota(left.begin(), left.end(), 0);
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  drawn.clear();
  for (int choice = 0; choice < top_k; ++choice) {
    double target = random.unit() * total;
    std::size_t i = 0;
    while (i + 1 < left.size() && target >= weights[left[i]]) target -= weights[left[i++]];
    drawn.push_back(left[i]);
    total -= weights[left[i]];
    left[i] = left.back();
    left.pop_back();
  }
}

}  // namespace

RoutingSpec parse_routing(std::string_view text) {
  RoutingSpec spec;
  if (text == "uniform") return spec;
  constexpr std::string_view zipf = "zipf:";
  if (text.starts_with(zipf)) {
    const std::string_view number = text.substr(zipf.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), spec.alpha);
    if (error == std::errc() && end == number.data() + number.size() && spec.alpha >= 0 && spec.alpha <= max_alpha) {
      spec.kind = RoutingSpec::Kind::zipf;
      return spec;
    }
  }
  throw UsageError(
      fmt::format("routing \"{}\" is neither \"uniform\" nor \"zipf:A\" with A in [0, {}], e.g. zipf:1.0", text, max_alpha));
}

std::string to_string(const RoutingSpec& spec) {
  return spec.kind == RoutingSpec::Kind::uniform ? "uniform" : fmt::format("zipf:{}", spec.alpha);
}

int RoutedRows::active_experts() const {
  return static_cast<int>(std::count_if(m_sizes.begin(), m_sizes.end(), [](int size) { return size > 0; }));
}

double RoutedRows::effective_experts() const {
  const double total = std::accumulate(m_sizes.begin(), m_sizes.end(), 0.0);
  double entropy = 0;
  for (const int size : m_sizes) {
    if (size > 0) entropy -= size / total * std::log(size / total);
  }
  return total > 0 ? std::exp(entropy) : 0;
}

double RoutedRows::max_share() const {
  const double total = std::accumulate(m_sizes.begin(), m_sizes.end(), 0.0);
  return total > 0 ? *std::max_element(m_sizes.begin(), m_sizes.end()) / total : 0;
}

RoutedRows route(const RoutingSpec& spec, int tokens, int E, int top_k) {
  if (top_k < 1 || top_k > E) throw UsageError(fmt::format("routing: top_k = {} is outside [1, E = {}]", top_k, E));
  if (tokens < 0) throw UsageError(fmt::format("routing: {} tokens", tokens));
  const int slots = narrow<int>(checked_mul(tokens, top_k, "routing: tokens * top_k"), "routing: tokens * top_k");
  Random random(spec.seed);
  const std::vector<double> weights = popularity(spec, E, random);

  std::vector<int> expert_of_slot;
  expert_of_slot.reserve(static_cast<std::size_t>(slots));
  std::vector<int> left;
  std::vector<int> drawn;
  for (int token = 0; token < tokens; ++token) {
    draw(weights, top_k, random, left, drawn);
    expert_of_slot.insert(expert_of_slot.end(), drawn.begin(), drawn.end());
  }

  RoutedRows rows;
  rows.m_sizes.assign(E, 0);
  for (const int expert : expert_of_slot) ++rows.m_sizes[expert];
  std::vector<int> next(E, 0);
  std::exclusive_scan(rows.m_sizes.begin(), rows.m_sizes.end(), next.begin(), 0);
  rows.gather_indices.resize(expert_of_slot.size());
  for (std::size_t slot = 0; slot < expert_of_slot.size(); ++slot) {
    rows.gather_indices[next[expert_of_slot[slot]]++] = static_cast<int>(slot);
  }
  return rows;
}

}  // namespace moe_tune
