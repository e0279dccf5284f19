#include "runtime/reference/routing_weights.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "runtime/reference/half.hpp"

using namespace moe_tune;

TEST_CASE("routing weights: positive and away from zero, different for slots near one another") {
  const std::vector<float> weights = routing_weights(3000);
  REQUIRE(weights.size() == 3000);
  for (const float weight : weights) CHECK((weight >= 0.25f && weight < 1.26f));
  CHECK(std::set<float>(weights.begin(), weights.begin() + 1009).size() == 1009);
  CHECK(routing_weights(0).empty());
}

TEST_CASE("routing weights: those of a storage type are the float32 ones, rounded") {
  const std::vector<float> exact = routing_weights(2000);
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    const std::vector<std::uint16_t> weights = routing_weights(2000, dtype);
    REQUIRE(weights.size() == exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i) CHECK(weights[i] == from_float(exact[i], dtype));
  }
}
