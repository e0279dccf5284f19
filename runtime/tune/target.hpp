// What is tuned for: a GPU in this machine, or a named one that is not here.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "generator/device.hpp"
#include "moe_tune/config.hpp"
#include "runtime/jit/device.hpp"
#include "tuning_db/record.hpp"

namespace moe_tune {

struct Target {
  DeviceDescription device;     ///< limits and rates
  Environment env;              ///< what entries say about the device and the compiler
  bool live = false;            ///< a GPU of this machine: candidates are verified and timed there; else they are predicted
  int ordinal = 0;              ///< of a live GPU
  std::int64_t free_bytes = 0;  ///< device memory that can be allocated now; of a named device all of it
};

/// A device of the table, `nvrtc` being the version of the compiler ("13.0").
Target named_target(const DeviceDescription& device, const std::string& nvrtc);

/// A GPU of this machine; `free_bytes` of its memory can be allocated.
Target live_target(const DeviceInfo& info, const std::string& nvrtc, std::int64_t free_bytes);

/// The generator that emits kernels of `family` today.
GeneratorId current_generator(Family family);

/// The generators of today, by family.
class Generators {
 public:
  Generators();

  /// The one that emits kernels of this config.
  const GeneratorId& of(const KernelConfigForward& config) const { return ids_[static_cast<std::size_t>(config.family)]; }

 private:
  std::array<GeneratorId, family_count> ids_;
};

}  // namespace moe_tune
