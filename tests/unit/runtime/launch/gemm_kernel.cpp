#include "runtime/launch/gemm_kernel.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune;

TEST_CASE("forward kernel: a device that the table knows keeps its rates") {
  const DeviceDescription& h200 = find_device("h200");
  DeviceInfo info;
  info.name = h200.name;
  info.cc_major = 9;
  info.sm_count = h200.sm_count;
  const DeviceDescription described = describe_device(info);
  CHECK(described.key == "h200");
  CHECK(described.mma_sync_tflops == h200.mma_sync_tflops);
  CHECK(described.wgmma_tflops == h200.wgmma_tflops);
}

TEST_CASE("forward kernel: every rate of another card of a family scales with its SMs") {
  DeviceInfo info;
  info.name = "NVIDIA H20 of a test";
  info.cc_major = 9;
  info.sm_count = 66;
  const DeviceDescription described = describe_device(info);
  const DeviceDescription& nearest = nearest_device(info.name, 9, 0);
  REQUIRE(nearest.sm_count == 132);
  CHECK(described.key.empty());
  CHECK(described.name == info.name);
  CHECK(described.dram_gb_per_s == nearest.dram_gb_per_s / 2);
  CHECK(described.mma_sync_tflops == nearest.mma_sync_tflops / 2);
  CHECK(described.wgmma_tflops == nearest.wgmma_tflops / 2);
  CHECK(described.wgmma_tflops > 0);
}
