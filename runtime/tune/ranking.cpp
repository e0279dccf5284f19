#include "runtime/tune/ranking.hpp"

#include <algorithm>
#include <map>

#include "runtime/tune/candidates.hpp"
#include "runtime/tune/statistics.hpp"

namespace moe_tune {

std::vector<PredictedConfig> predict_compiled(const Problem& problem,
                                              std::span<const std::pair<KernelConfig, Resources>> compiled,
                                              std::span<const int> m_sizes, const DeviceDescription& device) {
  std::vector<PredictedConfig> result;
  for (const auto& [config, resources] : compiled) {
    PredictedConfig predicted{config, resources, {}};
    predicted.resources.ctas_per_sm = resident_blocks(config, resources, device);
    if (predicted.resources.ctas_per_sm == 0) continue;
    KernelConfig actual = config;
    actual.ctas_per_sm = std::min(config.ctas_per_sm, predicted.resources.ctas_per_sm);
    predicted.prediction = predict(problem, actual, m_sizes, device);
    result.push_back(predicted);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const PredictedConfig& a, const PredictedConfig& b) { return a.prediction.total < b.prediction.total; });
  return result;
}

std::optional<ModelQuality> judge_model(std::span<const RankedConfig> ranking,
                                        std::span<const std::pair<KernelConfig, std::vector<double>>> measured,
                                        const KernelConfig& best) {
  constexpr int first_choices = 5;
  const std::map<KernelConfig, std::vector<double>> samples(measured.begin(), measured.end());
  const auto of_best = samples.find(best);
  if (of_best == samples.end()) return std::nullopt;
  ModelQuality quality;
  int seen = 0;
  for (std::size_t i = 0; i < ranking.size(); ++i) {
    const KernelConfig& config = ranking[i].config;
    if (config == best) quality.rank_of_best = static_cast<int>(i) + 1;
    const auto found = samples.find(config);
    if (found == samples.end() || seen == first_choices) continue;
    // The best one was chosen on other samples, so that in these another may look faster by noise.
    const double loss = std::max(0.0, (estimate_ratio(found->second, of_best->second).median - 1) * 100);
    if (++seen == 1) {
      quality.first_loss = quality.best_of_five_loss = loss;
    } else {
      quality.best_of_five_loss = std::min(quality.best_of_five_loss, loss);
    }
  }
  return quality;
}

}  // namespace moe_tune
