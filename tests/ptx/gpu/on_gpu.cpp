#include "tests/ptx/gpu/on_gpu.hpp"

#include <algorithm>
#include <span>

#include "runtime/jit/compiler.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/launch/device_memory.hpp"

namespace moe_tune::test {

namespace {

/// An allocation of its own for any number of words: there is always an address.
DeviceBuffer to_device(std::span<const std::uint32_t> words) {
  DeviceBuffer buffer(std::max<std::size_t>(words.size_bytes(), 16));
  if (!words.empty()) buffer.upload(words.data(), words.size_bytes());
  return buffer;
}

CUlaunchAttribute cluster_of(unsigned blocks) {
  CUlaunchAttribute attribute = {};
  attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute.value.clusterDim = {blocks, 1, 1};
  return attribute;
}

CUlaunchAttribute early_start() {
  CUlaunchAttribute attribute = {};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  return attribute;
}

}  // namespace

std::string arch_for(const InstructionFamily& family, const std::string& arch) {
  const std::set<std::string> claimed = archs(family);
  if (claimed.contains(arch + "a")) return arch + "a";
  return claimed.contains(arch) ? arch : "";
}

GpuFamily::GpuFamily(const InstructionFamily& family, const std::string& arch)
    : family_(family), module_(compile(source(family), arch, family.file).cubin) {}

std::vector<std::uint32_t> GpuFamily::run(const MicroTest& test) const {
  std::vector<std::uint32_t> words = output_before(test);
  const DeviceBuffer input = to_device(test.input);
  const DeviceBuffer output = to_device(words);
  micro::Arguments arguments = {};
  for (std::size_t i = 0; i < test.maps.size(); ++i) {
    TensorMapDescription map = test.maps[i].map;
    map.address += (test.maps[i].buffer == MapOperand::Buffer::input ? input : output).address();
    arguments.maps[i] = encode_tensor_map(map);
  }
  arguments.input = static_cast<const unsigned*>(input.get());
  arguments.output = static_cast<unsigned*>(output.get());

  const CUfunction function = module_.function(entry_name(static_cast<std::size_t>(&test - family_.tests.data())));
  driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(test.shared_bytes));
  const Stream stream;
  std::vector<CUlaunchAttribute> attributes;
  if (test.cluster > 1) attributes.push_back(cluster_of(test.cluster));
  if (test.launches > 1) attributes.push_back(early_start());
  CUlaunchConfig config = {};
  config.gridDimX = test.blocks;
  config.blockDimX = test.threads;
  config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = test.shared_bytes;
  config.hStream = stream.get();
  config.attrs = attributes.data();
  config.numAttrs = static_cast<unsigned>(attributes.size());
  void* parameters[] = {&arguments};
  for (unsigned i = 0; i < test.launches; ++i) driver().cuLaunchKernelEx(&config, function, parameters, nullptr);
  stream.synchronize();
  output.download(words.data(), words.size() * sizeof(std::uint32_t));
  return words;
}

}  // namespace moe_tune::test
