#include "runtime/tune/clock_monitor.hpp"

#include <dlfcn.h>

namespace moe_tune {

// The few functions and constants of nvml.h in use. Declared here because the CUDA headers from PyPI do not bring nvml.h; NVML
// keeps this interface stable.
struct ClockMonitor::Nvml {
  using Device = void*;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*device_by_uuid)(const char*, Device*) = nullptr;
  int (*clock)(Device, int, unsigned*) = nullptr;
  int (*slowdown_reasons)(Device, unsigned long long*) = nullptr;

  static constexpr int success = 0;
  static constexpr int clock_sm = 1;
  static constexpr unsigned long long hardware_slowdown = 0x08;
  static constexpr unsigned long long software_thermal = 0x20;
  static constexpr unsigned long long hardware_thermal = 0x40;
  static constexpr unsigned long long hardware_power_brake = 0x80;

  /// Opened once for the process; nullptr where there is no usable NVML.
  static Nvml* instance() {
    static Nvml nvml;
    static const bool usable = nvml.open();
    return usable ? &nvml : nullptr;
  }

 private:
  bool open() {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    return library != nullptr && bind(library, init, "nvmlInit_v2") && bind(library, shutdown, "nvmlShutdown") &&
           bind(library, device_by_uuid, "nvmlDeviceGetHandleByUUID") && bind(library, clock, "nvmlDeviceGetClockInfo") &&
           bind(library, slowdown_reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
  }

  template <class Function>
  static bool bind(void* library, Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }
};

ClockMonitor::ClockMonitor(const std::string& uuid) {
  Nvml* nvml = Nvml::instance();
  if (nvml == nullptr || nvml->init() != Nvml::success) return;
  if (nvml->device_by_uuid(uuid.c_str(), &device_) != Nvml::success) {
    nvml->shutdown();
    return;
  }
  nvml_ = nvml;
}

ClockMonitor::~ClockMonitor() {
  if (nvml_ != nullptr) nvml_->shutdown();
}

ClockMonitor::State ClockMonitor::read() const {
  State state;
  if (nvml_ == nullptr) return state;
  unsigned mhz = 0;
  if (nvml_->clock(device_, Nvml::clock_sm, &mhz) == Nvml::success) state.sm_mhz = static_cast<int>(mhz);
  unsigned long long reasons = 0;
  if (nvml_->slowdown_reasons(device_, &reasons) == Nvml::success) {
    constexpr auto counted =
        Nvml::hardware_slowdown | Nvml::software_thermal | Nvml::hardware_thermal | Nvml::hardware_power_brake;
    state.slowed = (reasons & counted) != 0;
  }
  return state;
}

}  // namespace moe_tune
