// A GPU: what it is, and its primary context.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>
#include <utility>

namespace moe_tune {

/// What the driver says about one GPU.
struct DeviceInfo {
  int ordinal = 0;
  std::string name;  ///< e.g. "NVIDIA H200"; of a MIG slice without the profile
  int cc_major = 0;
  int cc_minor = 0;
  int sm_count = 0;
  int smem_optin = 0;   ///< bytes of shared memory that one block can opt in to
  int smem_per_sm = 0;  ///< bytes of shared memory of one SM
  int regs_per_sm = 0;  ///< 32-bit registers of one SM
  int64_t l2_bytes = 0;
  int64_t total_bytes = 0;   ///< device memory
  int clock_khz = 0;         ///< peak SM clock
  int memory_clock_khz = 0;  ///< peak memory clock; 0 where the driver does not say
  int memory_bus_bits = 0;
  std::string uuid;    ///< "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
  std::string cuda;    ///< the newest CUDA version that the driver supports, e.g. "12.8"
  std::string driver;  ///< the kernel module's version, e.g. "570.124.06"; empty where it cannot be read
  std::string mig;     ///< the MIG profile, e.g. "1g.18gb"; empty for a whole GPU

  auto operator<=>(const DeviceInfo&) const = default;
};

/// Number of GPUs; 0 where there is no driver.
int device_count();

/// Throws UsageError for an ordinal that does not exist, EnvironmentError where there is no driver.
DeviceInfo query_device(int ordinal);

/// The arch to compile for on a device, e.g. "sm_90".
std::string arch_of(const DeviceInfo& device);

/// "NVIDIA H100 80GB HBM3 MIG 1g.10gb" -> {"NVIDIA H100 80GB HBM3", "1g.10gb"}: the driver appends the MIG profile to the name.
std::pair<std::string, std::string> split_mig(const std::string& name);

/// Holds a reference to the primary context of a device: the one that the CUDA runtime, and so torch, uses. The driver counts
/// references, so any number of these may exist in any threads. Creating one does not make the context current.
class PrimaryContext {
 public:
  explicit PrimaryContext(int ordinal);
  ~PrimaryContext();
  PrimaryContext(PrimaryContext&& other) noexcept;
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;

  CUcontext get() const { return context_; }
  CUdevice device() const { return device_; }

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

/// Makes a context current in this thread for the life of the object, then restores the one before.
class CurrentContext {
 public:
  explicit CurrentContext(CUcontext context);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
};

}  // namespace moe_tune
