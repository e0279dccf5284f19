#include "tools/machine.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>

#include "generator/device.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune::cli {

namespace {

std::string device_keys() {
  std::string keys;
  for (const DeviceDescription& device : known_devices()) keys += fmt::format("{}{}", keys.empty() ? "" : ", ", device.key);
  return keys;
}

void refuse_emulator(const std::string& name) {
  if (name != emulator_name) return;
  throw UsageError(
      fmt::format("--device {0}: the emulated device has no speed to measure or to predict; it checks kernels: moe-tune verify "
                  "--device {0}",
                  emulator_name));
}

std::optional<Target> live_target(int ordinal, std::string* why) {
  WorkerBenchOptions options = own_workers();
  options.place.ordinal = ordinal;
  return query_target(options, why);
}

}  // namespace

WorkerBenchOptions own_workers() {
  WorkerBenchOptions options;
  options.command = {"/proc/self/exe", "worker"};
  options.jobs = default_jobs();
  return options;
}

int default_jobs() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  return sched_getaffinity(0, sizeof usable, &usable) == 0 ? std::max(1, CPU_COUNT(&usable)) : 1;
}

Target find_target(const std::string& name, int ordinal) {
  refuse_emulator(name);
  const DeviceDescription* named = name.empty() ? nullptr : &find_device(name);
  std::string why;
  auto live = live_target(ordinal, &why);
  if (live && (named == nullptr || named->name == live->env.key.name)) return *std::move(live);
  if (named == nullptr) {
    throw UsageError(fmt::format("this machine has no GPU to work for ({}). Name one with --device: {}", why, device_keys()));
  }
  return named_target(*named, query_nvrtc(own_workers()));
}

Target require_gpu(const std::string& verb, const std::string& name, int ordinal, const std::string& remedy) {
  refuse_emulator(name);
  const DeviceDescription* named = name.empty() ? nullptr : &find_device(name);
  std::string why;
  auto live = live_target(ordinal, &why);
  if (!live) throw EnvironmentError(fmt::format("{} needs a GPU: {}{}{}", verb, why, remedy.empty() ? "" : ". ", remedy));
  if (named != nullptr && named->name != live->env.key.name) {
    throw EnvironmentError(
        fmt::format("{} needs the {} itself; GPU {} of this machine is: {}", verb, named->name, ordinal, live->env.key.name));
  }
  return *std::move(live);
}

}  // namespace moe_tune::cli
