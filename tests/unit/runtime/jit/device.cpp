#include "runtime/jit/device.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

using namespace moe_tune;

TEST_CASE("device: the MIG profile is split off the name") {
  CHECK(split_mig("NVIDIA H200") == std::pair<std::string, std::string>{"NVIDIA H200", ""});
  CHECK(split_mig("NVIDIA H100 80GB HBM3 MIG 1g.10gb") ==
        std::pair<std::string, std::string>{"NVIDIA H100 80GB HBM3", "1g.10gb"});
}

TEST_CASE("device: the arch to compile for") {
  DeviceInfo device;
  device.cc_major = 12;
  CHECK(arch_of(device) == "sm_120");
}

TEST_CASE("device: every ordinal in range has a description, others are refused") {
  const int count = device_count();
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const DeviceInfo device = query_device(ordinal);
    CHECK(device.ordinal == ordinal);
    CHECK_FALSE(device.name.empty());
    CHECK(device.sm_count > 0);
    CHECK(device.smem_optin >= 48 * 1024);
    CHECK(device.uuid.size() == 40);
    CHECK(PrimaryContext(ordinal).get() != nullptr);
  }
  if (try_driver()) {
    CHECK_THROWS_AS(query_device(count), UsageError);
    CHECK_THROWS_AS(PrimaryContext(-1), UsageError);
  } else {
    CHECK(count == 0);
    CHECK_THROWS_AS(query_device(0), EnvironmentError);
  }
}
