#include "tuning_db/record_json.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"

using namespace moe_tune;

TEST_CASE("config values outside the space are neither written nor read", "[record_json]") {
  KernelConfigForward config = test::sample_config();
  Json json = config_json(config);
  json["BLOCK_M"] = 65;
  CHECK_THROWS_WITH(config_from(JsonView(json, "f", "config")),
                    Catch::Contains("f: config.BLOCK_M: 65 is not allowed; allowed: 16, 32, 64"));
  json["BLOCK_M"] = int64_t{1} << 40;
  CHECK_THROWS_AS(config_from(JsonView(json, "f", "config")), UsageError);
  json = config_json(config);
  json["tile_order"] = "sideways";
  CHECK_THROWS_WITH(config_from(JsonView(json, "f", "config")), Catch::Contains("allowed: m_fastest, n_fastest"));
  config.stages = 99;
  CHECK_THROWS_WITH(config_json(config), Catch::Contains("stages = 99"));
}

TEST_CASE("numbers that JSON cannot hold are refused, except a reference error", "[record_json]") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  Timing time;
  time.median = nan;
  CHECK_THROWS_WITH(timing_json(time), Catch::Contains("time.median"));
  const Json wrong = verification_json({VerifyStatus::fail, "fp32", nan});
  CHECK(verification_from(JsonView(wrong, "f", "verify")).max_rel_err == std::numeric_limits<double>::infinity());
}

TEST_CASE("where a verification ran is written for the emulated device alone; absent, it was a GPU", "[record_json]") {
  const Json on_gpu = verification_json({VerifyStatus::pass, "fp32", 0.5});
  CHECK_FALSE(on_gpu.contains("device"));
  CHECK(verification_from(JsonView(on_gpu, "f", "verify")).device == DeviceKind::gpu);
  Json emulated = verification_json({VerifyStatus::pass, "fp32", 0.5, DeviceKind::emulator});
  CHECK(emulated["device"] == "emulator");
  CHECK(verification_from(JsonView(emulated, "f", "verify")).device == DeviceKind::emulator);
  emulated["device"] = "abacus";
  CHECK_THROWS_WITH(verification_from(JsonView(emulated, "f", "verify")), Catch::Contains("gpu, emulator"));
}

TEST_CASE("a compute capability is two short numbers", "[record_json]") {
  Json json = device_key_json(test::sample_environment().key);
  CHECK(json["cc"] == "9.0");
  CHECK(device_key_from(JsonView(json, "f", "")) == test::sample_environment().key);
  for (const char* bad : {"", "9", "9.", ".0", "-9.0", "9.0.1", "999.0", "a.b"}) {
    json["cc"] = bad;
    CHECK_THROWS_WITH(device_key_from(JsonView(json, "f", "")), Catch::Contains("compute capability"));
  }
}
