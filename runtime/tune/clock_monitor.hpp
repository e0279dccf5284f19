// Whether the GPU runs as it should, read through NVML where there is one.
#pragma once

#include <string>

namespace moe_tune {

/// One GPU's clocks. NVML (libnvidia-ml.so.1) is opened at run time; without it nothing is known and nothing is held against a
/// sample.
class ClockMonitor {
 public:
  /// `uuid` as in DeviceInfo.
  explicit ClockMonitor(const std::string& uuid);
  ~ClockMonitor();
  ClockMonitor(const ClockMonitor&) = delete;
  ClockMonitor& operator=(const ClockMonitor&) = delete;

  struct State {
    int sm_mhz = 0;       ///< 0: not known
    bool slowed = false;  ///< thermal or hardware slowdown, or the power brake. Power capping is normal under load: not counted.
  };
  State read() const;

 private:
  struct Nvml;
  Nvml* nvml_ = nullptr;
  void* device_ = nullptr;
};

}  // namespace moe_tune
