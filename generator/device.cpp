#include "generator/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

constexpr std::int64_t gib = std::int64_t{1} << 30;
constexpr std::int64_t mib = std::int64_t{1} << 20;

DeviceDescription make(std::string key, std::string name, int cc, int sms, int shared_block, int shared_sm, std::int64_t l2,
                       std::int64_t memory, double dram, double tflops, double wgmma, double clock) {
  DeviceDescription d;
  d.key = std::move(key);
  d.name = std::move(name);
  d.cc_major = cc / 10;
  d.cc_minor = cc % 10;
  d.sm_count = sms;
  d.shared_per_block = shared_block;
  d.shared_per_sm = shared_sm;
  d.threads_per_sm = cc == 89 ? 1536 : 2048;
  d.l2_bytes = l2;
  d.memory_bytes = memory;
  d.dram_gb_per_s = dram;
  d.mma_sync_tflops = tflops;
  d.wgmma_tflops = wgmma;
  d.clock_ghz = clock;
  return d;
}

}  // namespace

std::string DeviceDescription::arch() const { return fmt::format("sm_{}{}", cc_major, cc_minor); }

std::string arch_for(Family family, const DeviceDescription& device) {
  return device.arch() + (family == Family::sm90 ? "a" : "");
}

std::span<const DeviceDescription> known_devices() {
  // h200: measured (docs/benchmarks); the others: the vendor's data sheets, memory at 92% of the stated bandwidth.
  static const DeviceDescription devices[] = {
      make("h200", "NVIDIA H200", 90, 132, 232448, 233472, 60 * mib, 141 * gib, 4420, 620, 740, 1.75),
      make("h100", "NVIDIA H100 80GB HBM3", 90, 132, 232448, 233472, 50 * mib, 80 * gib, 3080, 620, 740, 1.75),
      make("a100", "NVIDIA A100-SXM4-80GB", 80, 108, 166912, 167936, 40 * mib, 80 * gib, 1870, 300, 0, 1.41),
      make("rtx4090", "NVIDIA GeForce RTX 4090", 89, 128, 101376, 102400, 72 * mib, 24 * gib, 930, 160, 0, 2.52),
  };
  return devices;
}

const DeviceDescription& find_device(std::string_view text) {
  std::string keys;
  for (const DeviceDescription& device : known_devices()) {
    if (device.key == text || device.name == text) return device;
    keys += fmt::format("{}{}", keys.empty() ? "" : ", ", device.key);
  }
  throw UsageError(fmt::format("device \"{}\" is not one of: {}", text, keys));
}

const DeviceDescription& nearest_device(std::string_view name, int cc_major, int cc_minor) {
  const auto devices = known_devices();
  for (const DeviceDescription& device : devices) {
    if (device.name == name) return device;
  }
  const int cc = cc_major * 10 + cc_minor;
  return *std::min_element(devices.begin(), devices.end(), [&](const DeviceDescription& a, const DeviceDescription& b) {
    return std::abs(a.compute_capability() - cc) < std::abs(b.compute_capability() - cc);
  });
}

}  // namespace moe_tune
