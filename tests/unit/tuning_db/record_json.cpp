#include "tuning_db/record_json.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "moe_tune/error.hpp"
#include "tests/support/sample_records.hpp"

using namespace moe_tune;

TEST_CASE("config values outside the space are neither written nor read", "[record_json]") {
  KernelConfig config = test::sample_config();
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

TEST_CASE("a config of either family survives, and each writes the fields that it has a choice of", "[record_json]") {
  for (const KernelConfig& config : {test::sample_config(), test::sample_sm90_config()}) {
    const Json json = config_json(config);
    INFO(json_text(json));
    CHECK(config_from(JsonView(json, "f", "config")) == config);
    for (const ConfigField& field : config_fields()) {
      const bool choice = field.name == "family" || field.allowed(config.family).size() > 1;
      CHECK(json.contains(std::string(field.name)) == choice);
      if (!choice) continue;
      Json without = json;
      without.erase(std::string(field.name));
      CHECK_THROWS_WITH(config_from(JsonView(without, "f", "config")), Catch::Contains(std::string(field.name)));
    }
  }
}

TEST_CASE("a record of sm80 has the text from before there was sm90", "[record_json]") {
  CHECK(json_text(config_json(test::sample_config())) ==
        R"({"family":"sm80","BLOCK_M":64,"BLOCK_N":256,"BLOCK_K":32,"warps":8,"warps_m":4,"stages":5,"ctas_per_sm":2,)"
        R"("tile_order":"n_fastest"})");
  CHECK(json_text(workload_json(test::sample_problem())["fusions"]) == R"(["mul_post"])");
}

TEST_CASE("a field without a choice may be given, with its value alone; a family must be known", "[record_json]") {
  Json json = config_json(test::sample_config());
  json["mma_m"] = "tokens";
  json["cluster"] = 1;
  CHECK(config_from(JsonView(json, "f", "config")) == test::sample_config());
  json["cluster"] = 2;
  CHECK_THROWS_WITH(config_from(JsonView(json, "f", "config")), Catch::Contains("config.cluster: 2 is not allowed; allowed: 1"));
  json["family"] = "sm100";
  CHECK_THROWS_WITH(config_from(JsonView(json, "f", "config")), Catch::Contains("\"sm100\" is not allowed; allowed: sm80, sm90"));
}

TEST_CASE("every fusion of a workload survives; an unknown one is refused with the known", "[record_json]") {
  Problem problem = test::sample_problem(Gemm::gate_up);
  problem.fuse_mul_pre = problem.fuse_swiglu = problem.keep_pre_activation = true;
  Json json = workload_json(problem);
  CHECK(json_text(json["fusions"]) == R"(["mul_pre","swiglu","keep_pre_activation"])");
  CHECK(workload_from(JsonView(json, "f", "workload")) == problem);
  json["fusions"][1] = "gelu";
  CHECK_THROWS_WITH(workload_from(JsonView(json, "f", "workload")),
                    Catch::Contains("fusions[1]") &&
                        Catch::Contains("known: mul_post, mul_pre, swiglu, keep_pre_activation, float32_dw, accumulate"));
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
