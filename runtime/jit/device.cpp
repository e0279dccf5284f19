#include "runtime/jit/device.hpp"

#include <fmt/format.h>

#include <fstream>
#include <string_view>
#include <tuple>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {
namespace {

CUdevice device_handle(int ordinal) {
  int count = 0;
  driver().cuDeviceGetCount(&count);
  if (ordinal < 0 || ordinal >= count)
    throw UsageError(fmt::format("there is no GPU {}: this process sees {} of them, numbered from 0", ordinal, count));
  CUdevice device = 0;
  driver().cuDeviceGet(&device, ordinal);
  return device;
}

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  driver().cuDeviceGetAttribute(&value, which, device);
  return value;
}

std::string uuid_of(CUdevice device) {
  CUuuid uuid{};
  driver().cuDeviceGetUuid(&uuid, device);
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

std::string supported_cuda() {
  int version = 0;
  driver().cuDriverGetVersion(&version);
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string kernel_module_version() {
  std::string version;
  std::ifstream("/sys/module/nvidia/version") >> version;
  return version;
}

}  // namespace

int device_count() {
  int count = 0;
  if (const Driver* opened = try_driver()) opened->cuDeviceGetCount(&count);
  return count;
}

std::pair<std::string, std::string> split_mig(const std::string& name) {
  constexpr std::string_view mark = " MIG ";
  const size_t at = name.find(mark);
  if (at == std::string::npos) return {name, ""};
  return {name.substr(0, at), name.substr(at + mark.size())};
}

DeviceInfo query_device(int ordinal) {
  const CUdevice device = device_handle(ordinal);
  char name[256] = {};
  driver().cuDeviceGetName(name, sizeof name, device);
  size_t total_bytes = 0;
  driver().cuDeviceTotalMem(&total_bytes, device);

  DeviceInfo info;
  info.ordinal = ordinal;
  std::tie(info.name, info.mig) = split_mig(name);
  info.cc_major = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info.cc_minor = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info.sm_count = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info.smem_optin = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  info.smem_per_sm = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  info.regs_per_sm = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  info.l2_bytes = attribute(device, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  info.total_bytes = static_cast<int64_t>(total_bytes);
  info.clock_khz = attribute(device, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  info.memory_clock_khz = attribute(device, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  info.memory_bus_bits = attribute(device, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  info.uuid = uuid_of(device);
  info.cuda = supported_cuda();
  info.driver = kernel_module_version();
  return info;
}

std::string arch_of(const DeviceInfo& device) { return fmt::format("sm_{}{}", device.cc_major, device.cc_minor); }

PrimaryContext::PrimaryContext(int ordinal) : device_(device_handle(ordinal)) {
  driver().cuDevicePrimaryCtxRetain(&context_, device_);
}

PrimaryContext::~PrimaryContext() {
  // At the end of the process the driver may be gone already, and says so; there is nothing left to release then.
  if (context_) driver().cuDevicePrimaryCtxRelease.result(device_);
}

PrimaryContext::PrimaryContext(PrimaryContext&& other) noexcept
    : device_(other.device_), context_(std::exchange(other.context_, nullptr)) {}

CurrentContext::CurrentContext(CUcontext context) { driver().cuCtxPushCurrent(context); }

CurrentContext::~CurrentContext() {
  CUcontext popped = nullptr;
  driver().cuCtxPopCurrent.result(&popped);
}

}  // namespace moe_tune
