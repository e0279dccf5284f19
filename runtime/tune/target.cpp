#include "runtime/tune/target.hpp"

#include "generator/emit.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/launch/forward_kernel.hpp"

namespace moe_tune {

Target named_target(const DeviceDescription& device, const std::string& nvrtc) {
  Target target;
  target.device = device;
  target.env.key = {device.name, device.cc_major, device.cc_minor, device.sm_count, ""};
  target.env.smem_optin = device.shared_per_block;
  target.env.nvrtc = nvrtc;
  target.free_bytes = device.memory_bytes;
  return target;
}

Target live_target(const DeviceInfo& info, const std::string& nvrtc, std::int64_t free_bytes) {
  Target target;
  target.device = describe_device(info);
  target.env.key = {info.name, info.cc_major, info.cc_minor, info.sm_count, info.mig};
  target.env.smem_optin = info.smem_optin;
  target.env.uuid = info.uuid;
  target.env.driver = info.driver;
  target.env.cuda = info.cuda;
  target.env.nvrtc = nvrtc;
  target.live = true;
  target.ordinal = info.ordinal;
  target.free_bytes = free_bytes;
  return target;
}

GeneratorId current_generator(Family family) { return {std::string(generator_version()), source_hash(family), compile_flags()}; }

Generators::Generators() {
  for (std::size_t family = 0; family < ids_.size(); ++family) ids_[family] = current_generator(static_cast<Family>(family));
}

}  // namespace moe_tune
