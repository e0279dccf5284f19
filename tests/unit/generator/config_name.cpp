// parse_config(), the reverse of to_string(). tests/unit/generator/config.cpp has the rest.
#include <catch2/catch.hpp>

#include <set>

#include "generator/config_space.hpp"
#include "moe_tune/config.hpp"
#include "moe_tune/error.hpp"
#include "tests/support/sample_problems.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

TEST_CASE("A config's name reads back as the config, for every value of every field of both families") {
  for (const Family family : {Family::sm80, Family::sm90}) {
    for (const ConfigField& field : config_fields()) {
      for (const int value : field.allowed(family)) {
        KernelConfig config = first_config(family);
        field.set(config, value);
        INFO(to_string(config));
        CHECK(parse_config(to_string(config)) == config);
      }
    }
  }
}

TEST_CASE("Every config of both spaces has a name of its own that reads back") {
  Problem problem = test::qwen3_gate_up();  // permute_x allows both kinds of gather
  problem.N = 8 * 96 * 64;                  // every BLOCK_N makes an even number of tiles
  std::set<std::string> names;
  const auto space = config_space(problem, find_device("h200"));
  for (const KernelConfig& config : space) {
    const std::string name = to_string(config);
    if (!names.insert(name).second || parse_config(name) != config) FAIL(name);
  }
  CHECK(names.size() == space.size());
}

const std::string goods[] = {to_string(KernelConfig{}), to_string(first_config(Family::sm90))};

TEST_CASE("A text that is no config's name is refused with the forms") {
  const std::string good = goods[GENERATE(0, 1)];
  const auto bad = GENERATE_COPY(
      std::string(), std::string("sm80"), good + "x", " " + good, good.substr(0, good.size() - 1),
      std::string("sm70_128x128x64_w4m2_s3_c1_mfast"), std::string("sm80_0128x128x64_w4m2_s3_c1_mfast"),
      std::string("sm80_128x128x64_w4m2_s3_c1_kfast"), std::string("sm80_99999999999x128x64_w4m2_s3_c1_mfast"),
      std::string("sm90_128x128x64_w4m2_s3_c1_mfast"), std::string("sm80_16x64x64_tokens_coop_w8_s2_c1_x1_static_mfast_dispatch"),
      std::string("sm90_16x64x64_tokens_coop_w8_s2_c1_x01_static_mfast_dispatch"));
  CHECK_THROWS_WITH(parse_config(bad), Contains("is not a name of the form " + goods[0] + " or " + goods[1]));
}

TEST_CASE("Every prefix of a name is refused") {
  for (const std::string& good : goods) {
    for (size_t length = 0; length < good.size(); ++length) CHECK_THROWS_AS(parse_config(good.substr(0, length)), UsageError);
  }
}

TEST_CASE("A value outside the config space is refused with the allowed ones") {
  CHECK_THROWS_WITH(parse_config("sm80_100x128x64_w4m2_s3_c1_mfast"), Contains("BLOCK_M = 100 is not one of 16, 32, 64"));
  CHECK_THROWS_WITH(parse_config("sm80_128x128x64_w4m2_s-3_c1_mfast"), Contains("stages = -3 is not one of"));
  CHECK_THROWS_WITH(parse_config("sm90_16x96x64_tokens_coop_w8_s2_c1_x1_static_mfast_dispatch"),
                    Contains("BLOCK_N = 96 is not one of 64, 128, 192, 256 in family sm90"));
  CHECK_THROWS_WITH(parse_config("sm90_16x64x64_tokens_coop_w8_s2_c1_x3_static_mfast_dispatch"),
                    Contains("cluster = 3 is not one of 1, 2"));
}
