#include "generator/device.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

TEST_CASE("Every device of the table is found by key and by name, and is complete") {
  CHECK(known_devices().size() == 4);
  for (const DeviceDescription& device : known_devices()) {
    INFO(device.key);
    CHECK(&find_device(device.key) == &device);
    CHECK(&find_device(device.name) == &device);
    CHECK(&nearest_device(device.name, 0, 0) == &device);
    CHECK(device.compute_capability() >= 80);
    CHECK(device.sm_count > 0);
    // The driver keeps shared_reserved_per_block of an SM's shared memory for each block, the opt-in limit is what is left.
    CHECK(device.shared_per_block == device.shared_per_sm - device.shared_reserved_per_block);
    CHECK(device.registers_per_sm == 65536);
    CHECK(device.l2_bytes > 0);
    CHECK(device.memory_bytes > device.l2_bytes);
    CHECK(device.dram_gb_per_s > 0);
    CHECK(device.mma_sync_tflops > 0);
    CHECK((device.wgmma_tflops > device.mma_sync_tflops) == (device.compute_capability() == 90));
    CHECK((device.wgmma_tflops == 0) == (device.compute_capability() != 90));
    CHECK(device.clock_ghz > 0);
  }
}

TEST_CASE("Facts of the H200 and the RTX 4090") {
  const DeviceDescription& h200 = find_device("h200");
  CHECK(h200.name == "NVIDIA H200");
  CHECK(h200.arch() == "sm_90");
  CHECK(h200.sm_count == 132);
  CHECK(h200.shared_per_block == 227 * 1024);
  CHECK(h200.threads_per_sm == 2048);
  CHECK(find_device("rtx4090").arch() == "sm_89");
  CHECK(find_device("rtx4090").threads_per_sm == 1536);
}

TEST_CASE("Kernels of sm90 are compiled with the suffix that wgmma needs, those of sm80 without") {
  CHECK(arch_for(Family::sm90, find_device("h200")) == "sm_90a");
  CHECK(arch_for(Family::sm80, find_device("h200")) == "sm_90");
  CHECK(arch_for(Family::sm80, find_device("rtx4090")) == "sm_89");
}

TEST_CASE("An unknown device is refused with the keys") {
  CHECK_THROWS_AS(find_device("h20"), UsageError);
  CHECK_THROWS_WITH(find_device("h20"), Contains("device \"h20\" is not one of: h200, h100, a100, rtx4090"));
  CHECK_THROWS_AS(find_device(""), UsageError);
}

TEST_CASE("The nearest device is the one of that name, else the closest compute capability") {
  CHECK(nearest_device("NVIDIA H100 80GB HBM3", 8, 0).key == "h100");
  CHECK(nearest_device("NVIDIA H800", 9, 0).compute_capability() == 90);
  CHECK(nearest_device("NVIDIA A30", 8, 0).key == "a100");
  CHECK(nearest_device("NVIDIA RTX A6000", 8, 6).key == "rtx4090");
  CHECK(nearest_device("NVIDIA L40S", 8, 9).key == "rtx4090");
  CHECK(nearest_device("NVIDIA B200", 10, 0).compute_capability() == 90);
}
