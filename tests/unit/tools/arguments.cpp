#include "tools/arguments.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using namespace moe_tune::cli;
using Catch::Matchers::Contains;

TEST_CASE("Time limits") {
  CHECK(parse_time_limit("01:30") == 90);
  CHECK(parse_time_limit("120:00") == 7200);
  CHECK(parse_time_limit("2:00:05") == 7205);
  const auto bad = GENERATE("", "90", "1:60", "-1:00", "1:-1", "0:00", "1:2:3:4", "a:b", "1:", "9999999999:00");
  CHECK_THROWS_WITH(parse_time_limit(bad), Contains("--time") && Contains("MM:SS"));
}

TEST_CASE("Percentages") {
  CHECK(parse_percent("1%") == Approx(0.01));
  CHECK(parse_percent("0%") == 0);
  CHECK(parse_percent("12.5%") == Approx(0.125));
  const auto bad = GENERATE("", "%", "1", "-1%", "101%", "nan%", "1%%", "x%");
  CHECK_THROWS_WITH(parse_percent(bad), Contains("--min-gain"));
}

TEST_CASE("Settings change fields, by any spelling") {
  const KernelConfig config = apply_settings({}, "BLOCK_SIZE_M=64,stages=5,tile_order=n_fastest,warps_m=1");
  CHECK(to_string(config) == "sm80_64x128x64_w4m1_s5_c1_nfast");
}

TEST_CASE("Settings of an sm90 config have its family's values") {
  const KernelConfig base = parse_config("sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch");
  CHECK(to_string(apply_settings(base, "BLOCK_M=160,cluster=2,gather=in_kernel,tile_source=static_order")) ==
        "sm90_160x128x64_weights_pingpong_w12_s4_c1_x2_static_mfast_inkernel");
  CHECK_THROWS_WITH(apply_settings(base, "BLOCK_N=96"), Contains("BLOCK_N = \"96\" is not one of 64, 128, 192, 256"));
  CHECK_THROWS_WITH(apply_settings({}, "schedule=ping_pong"), Contains("schedule = \"ping_pong\" is not one of cooperative"));
  CHECK_THROWS_WITH(apply_settings(base, "family=sm80"), Contains("family = \"sm80\" is not one of sm90"));
}

TEST_CASE("The warps are split anew when the tile changes") {
  CHECK(apply_settings({}, "BLOCK_M=16,num_warps=4").warps_m == default_warps_m(16, 128, 4));
  CHECK(apply_settings({}, "stages=4").warps_m == KernelConfig{}.warps_m);
}

TEST_CASE("Settings that are wrong name the field and what is allowed") {
  CHECK_THROWS_WITH(apply_settings({}, "BLOCK_M=100"), Contains("BLOCK_M = \"100\" is not one of 16, 32, 64"));
  CHECK_THROWS_WITH(apply_settings({}, "tile_order=0"), Contains("m_fastest, n_fastest"));
  CHECK_THROWS_WITH(apply_settings({}, "BLOCK_Q=1"), Contains("BLOCK_Q") && Contains("BLOCK_M, BLOCK_N"));
  CHECK_THROWS_WITH(apply_settings({}, "BLOCK_M=64,BLOCK_SIZE_M=32"), Contains("twice"));
  CHECK_THROWS_WITH(apply_settings({}, "BLOCK_M"), Contains("FIELD=VALUE"));
  CHECK_THROWS_AS(apply_settings({}, ""), UsageError);
  CHECK_THROWS_AS(apply_settings({}, "stages=4,"), UsageError);
}
