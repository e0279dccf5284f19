#include "runtime/tune/candidates.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "generator/config_space.hpp"
#include "generator/heuristics.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tuning_db/store.hpp"

using namespace moe_tune;

namespace {

struct Choosing {
  test::TemporaryFolder folder;
  TuneOptions options = test::small_tuning(folder.path(), true);
  Problem problem = options.problems[0];
  std::vector<KernelConfig> space = config_space(problem, options.target.device);
  std::vector<KernelConfig> neighbours;

  Candidates choose(int tokens = 64) const {
    const RoutedRows rows = route(options.routing, tokens, problem.E, problem.top_k);
    return choose_candidates(options, problem, tokens, rows.m_sizes, space, neighbours, History(options));
  }
};

bool holds(const std::vector<KernelConfig>& configs, const KernelConfig& config) {
  return std::find(configs.begin(), configs.end(), config) != configs.end();
}

using Shape = std::array<int, 7>;

Shape shape_of(const KernelConfig& c) {
  return {c.BLOCK_M,
          c.BLOCK_N,
          c.warps,
          c.warps_m,
          static_cast<int>(c.family),
          static_cast<int>(c.mma_m),
          static_cast<int>(c.schedule)};
}

}  // namespace

TEST_CASE("the default leads, the model's first five follow, each config once") {
  const Choosing c;
  const Candidates candidates = c.choose();
  CHECK(candidates.ranking.size() == c.space.size());
  CHECK(candidates.configs.front() == default_config(c.problem, 64, c.options.target.device));
  for (std::size_t i = 0; i < 5; ++i) CHECK(holds(candidates.configs, candidates.ranking[i].config));
  CHECK(std::set(candidates.configs.begin(), candidates.configs.end()).size() == candidates.configs.size());
  CHECK(candidates.configs.size() <= 1u + 24u + 4u);
  CHECK(candidates.configs.size() >= 24u);
}

TEST_CASE("no tile shape fills the list") {
  Choosing c;
  c.options.random = 0;
  const Candidates candidates = c.choose();
  std::map<Shape, int> alike;
  for (const KernelConfig& config : candidates.configs) ++alike[shape_of(config)];
  for (const auto& [shape, count] : alike) CHECK(count <= 6);  // 4, or all of the first five, and the default
}

TEST_CASE("of each family's ways to gather rows three shapes are tried") {
  Choosing c;
  c.options.random = 0;
  c.problem = {.E = 128, .N = 1536, .K = 2048, .top_k = 8, .permute_x = true};
  c.space = config_space(c.problem, c.options.target.device);
  for (const int tokens : {16, 4096, 32768}) {
    std::map<std::pair<Family, Gather>, std::set<Shape>> shapes;
    for (const KernelConfig& config : c.choose(tokens).configs) {
      shapes[{config.family, config.gather}].insert(shape_of(config));
    }
    CHECK(shapes.size() == 4);
    for (const auto& [way, of_way] : shapes) CHECK(of_way.size() >= 3);
  }
}

TEST_CASE("neighbours' winners and the database's seeds are tried, failures are not") {
  Choosing c;
  c.options.random = 0;
  const std::vector<RankedConfig> ranking = c.choose().ranking;
  const KernelConfig neighbour = ranking.back().config;
  const KernelConfig seed = ranking[ranking.size() - 2].config;
  const KernelConfig failed = ranking.front().config;
  REQUIRE_FALSE(holds(c.choose().configs, neighbour));

  c.neighbours = {neighbour};
  Entry entry;
  entry.problem = c.problem;
  entry.env = c.options.target.env;
  entry.gen = {"another", "generator", {}};
  entry.config = seed;
  entry.source = Source::imported;
  Store(c.options.database).publish({entry});
  Attempt attempt;
  attempt.problem = c.problem;
  attempt.config = failed;
  attempt.status = AttemptStatus::hung;
  History history(c.options);
  history.add_failure(attempt);

  const RoutedRows rows = route(c.options.routing, 64, c.problem.E, c.problem.top_k);
  const auto configs = choose_candidates(c.options, c.problem, 64, rows.m_sizes, c.space, c.neighbours, history).configs;
  CHECK(holds(configs, neighbour));
  CHECK(holds(configs, seed));
  CHECK_FALSE(holds(configs, failed));
}

TEST_CASE("exhaustive takes the whole space, random as many as the model would") {
  Choosing c;
  c.options.strategy = Strategy::exhaustive;
  CHECK(c.choose().configs.size() == c.space.size());
  c.options.strategy = Strategy::random;
  const auto first = c.choose().configs;
  CHECK(first.size() >= 28u);
  CHECK(first.size() <= 29u);
  CHECK(c.choose().configs == first);  // the same seed
  c.options.seed = 2;
  CHECK(c.choose().configs != first);
}

TEST_CASE("a prediction compiles a small space whole") {
  Choosing c;
  c.options.target.live = false;
  c.space.resize(200);
  CHECK(c.choose().configs.size() >= 199u);
  c.options.predicted_best = 10;
  CHECK(c.choose().configs.size() <= 11u);
}

TEST_CASE("resident blocks follow from registers, shared memory and threads") {
  const DeviceDescription& device = find_device("h200");
  KernelConfig config;
  config.warps = 4;
  CHECK(resident_blocks(config, {128, 10000, 0, 0, 0}, device) == 4);  // 65536 / (128 * 128)
  CHECK(resident_blocks(config, {129, 10000, 0, 0, 0}, device) == 3);  // rounded up to 136
  CHECK(resident_blocks(config, {32, 100000, 0, 0, 0}, device) == 2);
  CHECK(resident_blocks(config, {32, 1000, 0, 0, 0}, device) == 16);  // 2048 threads
  config.warps = 16;
  CHECK(resident_blocks(config, {255, 1000, 0, 0, 0}, device) == 0);
}
