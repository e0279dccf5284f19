#include "generator/routing.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;
using Kind = RoutingSpec::Kind;

namespace {

struct Case {
  RoutingSpec spec;
  int tokens, E, top_k;
};

const Case cases[] = {
    {{Kind::uniform, 1.0, 1}, 100, 16, 4}, {{Kind::uniform, 1.0, 2}, 1, 1, 1},   {{Kind::zipf, 1.0, 3}, 257, 60, 4},
    {{Kind::zipf, 8.0, 4}, 64, 128, 64},   {{Kind::zipf, 0.0, 5}, 1000, 8, 8},   {{Kind::uniform, 1.0, 6}, 0, 8, 2},
    {{Kind::zipf, 8.0, 7}, 16, 128, 128},  {{Kind::uniform, 1.0, 8}, 33, 16, 1},
};

std::vector<int> sorted_down(std::vector<int> values) {
  std::sort(values.begin(), values.end(), std::greater<>());
  return values;
}

}  // namespace

TEST_CASE("Routed rows are a permutation of the slots, sorted by expert and by slot within it, experts distinct per token") {
  for (const auto& [spec, tokens, E, top_k] : cases) {
    INFO(to_string(spec) << " T=" << tokens << " E=" << E << " k=" << top_k);
    const RoutedRows rows = route(spec, tokens, E, top_k);
    const int M = tokens * top_k;
    REQUIRE(rows.m_sizes.size() == static_cast<std::size_t>(E));
    REQUIRE(rows.gather_indices.size() == static_cast<std::size_t>(M));
    REQUIRE(std::accumulate(rows.m_sizes.begin(), rows.m_sizes.end(), 0) == M);

    std::vector<int> slots = rows.gather_indices;
    std::sort(slots.begin(), slots.end());
    std::vector<int> all(static_cast<std::size_t>(M));
    std::iota(all.begin(), all.end(), 0);
    CHECK(slots == all);

    std::set<std::pair<int, int>> token_and_expert;
    auto row = rows.gather_indices.begin();
    for (int expert = 0; expert < E; ++expert) {
      const auto end = row + rows.m_sizes[static_cast<std::size_t>(expert)];
      CHECK(std::is_sorted(row, end));
      for (; row != end; ++row) token_and_expert.emplace(*row / top_k, expert);
    }
    CHECK(token_and_expert.size() == static_cast<std::size_t>(M));
  }
}

TEST_CASE("Routing is the same on every platform") {
  // From a second implementation of the description in routing.hpp.
  const RoutedRows uniform = route({Kind::uniform, 1.0, 1}, 4, 6, 2);
  CHECK(uniform.m_sizes == std::vector{1, 3, 0, 3, 1, 0});
  CHECK(uniform.gather_indices == std::vector{0, 3, 5, 7, 2, 4, 6, 1});
  const RoutedRows zipf = route({Kind::zipf, 1.0, 3}, 6, 4, 1);
  CHECK(zipf.m_sizes == std::vector{0, 4, 2, 0});
  CHECK(zipf.gather_indices == std::vector{0, 2, 3, 4, 1, 5});
}

TEST_CASE("Routing depends on the seed and on nothing else") {
  for (const Kind kind : {Kind::uniform, Kind::zipf}) {
    const RoutedRows first = route({kind, 1.0, 1}, 256, 32, 4);
    CHECK(route({kind, 1.0, 1}, 256, 32, 4).gather_indices == first.gather_indices);
    CHECK(route({kind, 1.0, 2}, 256, 32, 4).gather_indices != first.gather_indices);
  }
}

TEST_CASE("Uniform routing loads every expert alike") {
  // 256 rows expected per expert, standard deviation 15.5.
  const RoutedRows rows = route({}, 4096, 64, 4);
  for (const int size : rows.m_sizes) CHECK(std::abs(size - 256) < 5 * 15.5);
  CHECK(rows.active_experts() == 64);
  CHECK(rows.effective_experts() > 63);
  CHECK(rows.max_share() < 1.3 / 64);
}

TEST_CASE("Zipf routing gives the expert of rank r a share of 1 / r^alpha") {
  constexpr int tokens = 100'000;
  for (const double alpha : {0.0, 1.0, 2.0}) {
    const auto sizes = sorted_down(route({Kind::zipf, alpha, 7}, tokens, 16, 1).m_sizes);
    double total = 0;
    for (int rank = 1; rank <= 16; ++rank) total += std::pow(rank, -alpha);
    for (int rank = 1; rank <= 16; ++rank) {
      const double expected = tokens * std::pow(rank, -alpha) / total;
      INFO("alpha " << alpha << ", rank " << rank);
      CHECK(std::abs(sizes[static_cast<std::size_t>(rank - 1)] - expected) < 5 * std::sqrt(expected));
    }
  }
}

TEST_CASE("Experts are drawn without replacement: the shares of two of three, by hand") {
  // Weights 1, 1/2, 1/3: rank 1 is drawn first or second with 6/11 + 3/11 * 6/8 + 2/11 * 6/9, and so on.
  constexpr int tokens = 40'000;
  const auto sizes = sorted_down(route({Kind::zipf, 1.0, 11}, tokens, 3, 2).m_sizes);
  CHECK(sizes[0] == Approx(0.8712 * tokens).epsilon(0.02));
  CHECK(sizes[1] == Approx(0.6606 * tokens).epsilon(0.02));
  CHECK(sizes[2] == Approx(0.4682 * tokens).epsilon(0.02));
}

TEST_CASE("The seed shuffles which expert is popular") {
  std::set<std::ptrdiff_t> busiest;
  for (std::uint64_t seed = 0; seed < 32; ++seed) {
    const auto sizes = route({Kind::zipf, 2.0, seed}, 500, 16, 1).m_sizes;
    busiest.insert(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
  }
  CHECK(busiest.size() > 8);
}

TEST_CASE("With top_k = E every token goes to every expert") {
  CHECK(route({Kind::zipf, 4.0, 1}, 50, 8, 8).m_sizes == std::vector<int>(8, 50));
}

TEST_CASE("No tokens route to no rows, and the summaries of no rows are zero") {
  const RoutedRows rows = route({}, 0, 8, 2);
  CHECK(rows.m_sizes == std::vector<int>(8, 0));
  CHECK(rows.gather_indices.empty());
  CHECK(rows.active_experts() == 0);
  CHECK(rows.effective_experts() == 0);
  CHECK(rows.max_share() == 0);
}

TEST_CASE("The summaries of rows, by hand") {
  const RoutedRows rows{{6, 0, 2, 0}, {}};
  CHECK(rows.active_experts() == 2);
  CHECK(rows.max_share() == 0.75);
  CHECK(rows.effective_experts() == Approx(std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25))));
  CHECK(RoutedRows{{5, 5, 5, 5}, {}}.effective_experts() == Approx(4));
}

TEST_CASE("Impossible routing is refused") {
  CHECK_THROWS_WITH(route({}, 4, 8, 9), Contains("top_k = 9 is outside [1, E = 8]"));
  CHECK_THROWS_WITH(route({}, 4, 8, 0), Contains("top_k = 0"));
  CHECK_THROWS_WITH(route({}, -1, 8, 2), Contains("-1 tokens"));
  CHECK_THROWS_WITH(route({}, 1 << 30, 8, 2), Contains("tokens * top_k"));
}

TEST_CASE("Routing reads and prints as text") {
  CHECK(parse_routing("uniform").kind == Kind::uniform);
  const RoutingSpec zipf = parse_routing("zipf:1.25");
  CHECK(zipf.kind == Kind::zipf);
  CHECK(zipf.alpha == 1.25);
  for (const char* text : {"uniform", "zipf:0", "zipf:0.1", "zipf:1.25", "zipf:8"}) CHECK(to_string(parse_routing(text)) == text);
}

TEST_CASE("Another routing is refused with the allowed forms") {
  for (const char* text : {"", "Uniform", "uniform ", "zipf", "zipf:", "zipf: 1", "zipf:1x", "zipf:-1", "zipf:8.01", "zipf:nan",
                           "zipf:inf", "zipf:1e400", "dirichlet:1"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_routing(text), UsageError);
    CHECK_THROWS_WITH(parse_routing(text), Contains("neither \"uniform\" nor \"zipf:A\" with A in [0, 8]"));
  }
}
