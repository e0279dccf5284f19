// Device descriptions: what the constraints and the analytic model need to know of a GPU. A live GPU fills one from the driver;
// a small table serves tuning for a GPU that is not here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "moe_tune/config.hpp"

namespace moe_tune {

struct DeviceDescription {
  std::string key;   ///< short name for --device, e.g. "h200"
  std::string name;  ///< what the driver calls it, e.g. "NVIDIA H200"
  int cc_major = 0;
  int cc_minor = 0;
  int sm_count = 0;
  int shared_per_block = 0;  ///< opt-in limit, bytes
  int shared_per_sm = 0;     ///< bytes
  int shared_reserved_per_block = 1024;
  int registers_per_sm = 65536;
  int threads_per_sm = 2048;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  double dram_gb_per_s = 0;           ///< what a streaming read reaches
  double mma_sync_tflops = 0;         ///< what a register-only loop of 16-bit mma.sync reaches, dense, all SMs
  double wgmma_tflops = 0;            ///< what a dense wgmma kernel sustains, all SMs; 0 where there is none
  double shared_bytes_per_clk = 128;  ///< per SM
  double clock_ghz = 0;               ///< under load

  int compute_capability() const { return cc_major * 10 + cc_minor; }
  /// The device's own architecture, e.g. "sm_90".
  std::string arch() const;
};

/// The architecture to compile kernels of `family` for: the device's own, with the suffix that wgmma needs for sm90 ("sm_90a").
std::string arch_for(Family family, const DeviceDescription& device);

/// The table of named devices: h200, h100, a100, rtx4090.
std::span<const DeviceDescription> known_devices();

/// By key or by the driver's name; throws UsageError listing the keys.
const DeviceDescription& find_device(std::string_view key_or_name);

/// The description whose driver name matches, or the closest by compute capability: where a live GPU's rates come from.
const DeviceDescription& nearest_device(std::string_view driver_name, int cc_major, int cc_minor);

}  // namespace moe_tune
