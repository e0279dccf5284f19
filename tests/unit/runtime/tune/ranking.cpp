#include "runtime/tune/ranking.hpp"

#include <catch2/catch.hpp>

#include "generator/config_space.hpp"
#include "tests/support/small_tuning.hpp"

using namespace moe_tune;

namespace {

KernelConfig config_with(int stages) {
  KernelConfig config;
  config.stages = stages;
  return config;
}

}  // namespace

TEST_CASE("the model is judged by its order and by what its first choices lose") {
  const std::vector<RankedConfig> ranking = {{config_with(2), {}}, {config_with(3), {}}, {config_with(4), {}},
                                             {config_with(5), {}}, {config_with(6), {}}, {config_with(7), {}},
                                             {config_with(8), {}}};
  // The second was not measured: the first five are 2, 4, 5, 6, 7.
  const std::vector<std::pair<KernelConfig, std::vector<double>>> measured = {
      {config_with(2), {130, 260, 130}}, {config_with(4), {120, 240, 120}}, {config_with(5), {125, 250, 125}},
      {config_with(6), {110, 220, 110}}, {config_with(7), {140, 280, 140}}, {config_with(8), {100, 200, 100}}};
  const auto quality = judge_model(ranking, measured, config_with(8));
  REQUIRE(quality);
  CHECK(quality->rank_of_best == 7);
  CHECK(quality->first_loss == Approx(30));
  CHECK(quality->best_of_five_loss == Approx(10));

  const auto right = judge_model(ranking, measured, config_with(2));
  REQUIRE(right);
  CHECK(right->rank_of_best == 1);
  CHECK(right->first_loss == 0);
  CHECK(right->best_of_five_loss == 0);
  CHECK_FALSE(judge_model(ranking, measured, config_with(3)));
}

TEST_CASE("the compiler's registers decide how many blocks a prediction counts on") {
  const DeviceDescription& device = find_device("h200");
  const Problem problem = test::small_problem();
  const std::vector<int> m_sizes(8, 64);
  KernelConfig lean;
  lean.ctas_per_sm = 2;
  KernelConfig greedy = lean;
  greedy.stages = 2;
  KernelConfig impossible = lean;
  impossible.warps = 16;
  impossible.warps_m = 4;
  const std::vector<std::pair<KernelConfig, Resources>> compiled = {
      {lean, {100, 50000, 0, 0, 0}}, {greedy, {255, 50000, 0, 0, 0}}, {impossible, {255, 50000, 0, 0, 0}}};
  const auto predicted = predict_compiled(problem, compiled, m_sizes, device);
  REQUIRE(predicted.size() == 2);  // the one that does not fit is left out
  CHECK(predicted[0].prediction.total <= predicted[1].prediction.total);
  for (const PredictedConfig& p : predicted) {
    CHECK(p.resources.ctas_per_sm == (p.config == lean ? 4 : 2));
    KernelConfig actual = p.config;
    actual.ctas_per_sm = 2;
    CHECK(p.prediction.total == predict(problem, actual, m_sizes, device).total);
  }
}
