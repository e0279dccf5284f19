#include "generator/support/hash.hpp"

#include <catch2/catch.hpp>

using moe_tune::hash_hex;

TEST_CASE("hash_hex is XXH3-128 in hexadecimal", "[hash]") {
  CHECK(hash_hex("") == "99aa06d3014798d86001c324468d497f");  // as published for the empty input
  CHECK(hash_hex("a").size() == 32);
  CHECK(hash_hex("a") == hash_hex(std::string("a")));
  CHECK(hash_hex("a") != hash_hex("b"));
}
