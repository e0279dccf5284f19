// What the model of one kernel family answers to generator/model.hpp.
#pragma once

#include <span>

#include "generator/device.hpp"
#include "generator/model.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

namespace sm80 {
Prediction predict(const Problem& problem, const KernelConfig& config, std::span<const int> m_sizes,
                   const DeviceDescription& device);
}  // namespace sm80

namespace sm90 {
Prediction predict(const Problem& problem, const KernelConfig& config, std::span<const int> m_sizes,
                   const DeviceDescription& device);
}  // namespace sm90

}  // namespace moe_tune
