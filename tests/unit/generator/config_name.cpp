// parse_config(), the reverse of to_string(). tests/unit/generator/config.cpp has the rest.
#include <catch2/catch.hpp>

#include "moe_tune/config.hpp"
#include "moe_tune/error.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

TEST_CASE("A config's name reads back as the config, for every value of every field") {
  for (const ConfigField& field : forward_fields()) {
    for (const int value : field.allowed) {
      KernelConfigForward config;
      field.set(config, value);
      INFO(to_string(config));
      CHECK(parse_config(to_string(config)) == config);
    }
  }
}

TEST_CASE("A text that is no config's name is refused with the form") {
  const std::string good = to_string(KernelConfigForward{});
  const auto bad =
      GENERATE_COPY(std::string(), std::string("sm80"), good + "x", " " + good, good.substr(0, good.size() - 1),
                    std::string("sm70_128x128x64_w4m2_s3_c1_mfast"), std::string("sm80_0128x128x64_w4m2_s3_c1_mfast"),
                    std::string("sm80_128x128x64_w4m2_s3_c1_kfast"), std::string("sm80_99999999999x128x64_w4m2_s3_c1_mfast"));
  CHECK_THROWS_WITH(parse_config(bad), Contains("is not a name of the form " + good));
}

TEST_CASE("Every prefix of a name is refused") {
  const std::string good = to_string(KernelConfigForward{});
  for (size_t length = 0; length < good.size(); ++length) CHECK_THROWS_AS(parse_config(good.substr(0, length)), UsageError);
}

TEST_CASE("A value outside the config space is refused with the allowed ones") {
  CHECK_THROWS_WITH(parse_config("sm80_100x128x64_w4m2_s3_c1_mfast"), Contains("BLOCK_M = 100 is not one of 16, 32, 64"));
  CHECK_THROWS_WITH(parse_config("sm80_128x128x64_w4m2_s-3_c1_mfast"), Contains("stages = -3 is not one of"));
}
