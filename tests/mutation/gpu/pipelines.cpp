// The study's pipelines without a fault, on a GPU: what they must give, and what the emulator gives.
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <optional>
#include <vector>

#include "moe_tune/error.hpp"
#include "runtime/emulator/kernel.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/jit/driver.hpp"
#include "runtime/jit/module.hpp"
#include "runtime/launch/device_memory.hpp"
#include "tests/gpu/support/gpu.hpp"
#include "tests/mutation/support/run_pipeline.hpp"

namespace moe_tune::test {

namespace {

constexpr const char* arch = "sm_90a";
constexpr int runs = 20;

/// The tensors that are written, after one run.
std::vector<std::vector<std::byte>> run_on_gpu(const PipelineCase& pipeline, CUfunction function) {
  std::map<const Tensor*, DeviceBuffer> buffers;
  for (const Tensor* tensor : pipeline.tensors()) {
    if (!tensor->data.empty()) buffers[tensor] = upload(std::span<const std::byte>(tensor->data));
  }
  const auto address = [&](const Tensor& tensor) -> void* {
    const auto found = buffers.find(&tensor);
    return found == buffers.end() ? nullptr : found->second.get();
  };
  study::PipelineArgs args = pipeline.args(address, encode_tensor_map);
  driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(pipeline.shared_bytes));
  CUlaunchAttribute cluster = {};
  cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  cluster.value.clusterDim = {pipeline.cluster, 1, 1};
  const Stream stream;
  CUlaunchConfig config = {};
  config.gridDimX = pipeline.blocks;
  config.blockDimX = pipeline.threads;
  config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = pipeline.shared_bytes;
  config.hStream = stream.get();
  config.attrs = &cluster;
  config.numAttrs = pipeline.cluster > 1 ? 1 : 0;
  void* parameters[] = {&args};
  driver().cuLaunchKernelEx(&config, function, parameters, nullptr);
  stream.synchronize();
  std::vector<std::vector<std::byte>> results;
  for (const Tensor* tensor : pipeline.tensors()) {
    if (tensor->expected.empty()) continue;
    std::vector<std::byte>& bytes = results.emplace_back(tensor->data.size());
    buffers[tensor].download(bytes.data(), bytes.size());
  }
  return results;
}

void check_on_gpu(const PipelineCase& pipeline) {
  if (Gpu::get().arch() != "sm_90") {
    std::printf("%s is for %s and not for %s: not tried\n", pipeline.name.c_str(), arch, Gpu::get().arch().c_str());
    return;
  }
  const Module module(compile(pipeline.source(), arch, pipeline.name + ".cu").cubin);
  const CUfunction function = module.function("pipeline");
  std::optional<std::vector<std::vector<std::byte>>> emulated;
  try {
    emulated = run_emulated(pipeline, emulator::Kernel(pipeline.source()), 0);
  } catch (const EnvironmentError& error) {
    std::printf("not compared with the emulator: %s\n", error.what());
  }
  for (int i = 0; i < runs; ++i) {
    INFO("run " << i);
    const std::vector<std::vector<std::byte>> results = run_on_gpu(pipeline, function);
    CHECK(difference(pipeline, results) == "");
    if (emulated) CHECK(results == *emulated);
  }
}

}  // namespace

TEST_CASE("pipelines: ring") { check_on_gpu(ring_case()); }
TEST_CASE("pipelines: store") { check_on_gpu(store_case()); }
TEST_CASE("pipelines: cluster") { check_on_gpu(cluster_case()); }
TEST_CASE("pipelines: gather") { check_on_gpu(gather_case()); }
TEST_CASE("pipelines: queue") { check_on_gpu(queue_case()); }
TEST_CASE("pipelines: copier") { check_on_gpu(copier_case()); }
TEST_CASE("pipelines: ping_pong") { check_on_gpu(ping_pong_case()); }

}  // namespace moe_tune::test
