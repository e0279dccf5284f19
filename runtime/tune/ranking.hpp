// Judging by the model: predictions with the compiler's numbers, and how good the model's own order was.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "generator/model.hpp"
#include "runtime/tune/tuner.hpp"

namespace moe_tune {

/// A compiled candidate and what it is predicted to take.
struct PredictedConfig {
  KernelConfig config;
  Resources resources;  ///< with ctas_per_sm
  Prediction prediction;
};

/// Predictions for the candidates that fit on an SM, fastest first. A kernel of which fewer blocks fit than its config asks for
/// is predicted with those that do.
std::vector<PredictedConfig> predict_compiled(const Problem& problem,
                                              std::span<const std::pair<KernelConfig, Resources>> compiled,
                                              std::span<const int> m_sizes, const DeviceDescription& device);

/// `ranking` is the model's order of the space; `measured` holds samples of common rounds, those of `best` among them. The
/// model's first choices are the first in its order that were measured. Nothing when there are no samples of `best`.
std::optional<ModelQuality> judge_model(std::span<const RankedConfig> ranking,
                                        std::span<const std::pair<KernelConfig, std::vector<double>>> measured,
                                        const KernelConfig& best);

}  // namespace moe_tune
