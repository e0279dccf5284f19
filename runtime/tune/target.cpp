#include "runtime/tune/target.hpp"

#include "generator/emit.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/launch/gemm_kernel.hpp"

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

GeneratorId current_generator(Op op, Family family) {
  return {std::string(generator_version()), source_hash(family, op), compile_flags()};
}

Generators::Generators() {
  for (const Op op : {Op::forward, Op::dX, Op::dW}) {
    for (const Family family : {Family::sm80, Family::sm90}) ids_[{op, family}] = current_generator(op, family);
  }
}

}  // namespace moe_tune
