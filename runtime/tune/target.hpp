// What is tuned for: a GPU in this machine, or a named one that is not here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

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

/// The generator that emits kernels of `op` and `family` today.
GeneratorId current_generator(Op op, Family family);

/// The generators of today.
class Generators {
 public:
  Generators();

  /// The one that emits kernels of this problem and config.
  const GeneratorId& of(const Problem& problem, const KernelConfig& config) const { return ids_.at({problem.op, config.family}); }

 private:
  std::map<std::pair<Op, Family>, GeneratorId> ids_;
};

}  // namespace moe_tune
