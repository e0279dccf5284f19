#include "tools/units.hpp"

#include <catch2/catch.hpp>

using namespace moe_tune::cli;

TEST_CASE("Durations") {
  CHECK(duration_text(0.04) == "0.0 s");
  CHECK(duration_text(9.94) == "9.9 s");
  CHECK(duration_text(9.96) == "10 s");
  CHECK(duration_text(59.6) == "1m00s");
  CHECK(duration_text(185) == "3m05s");
  CHECK(duration_text(3600) == "1h00m");
  CHECK(duration_text(7620) == "2h07m");
}

TEST_CASE("Bytes") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(1000) == "1.0 kB");
  CHECK(bytes_text(999'949) == "999.9 kB");
  CHECK(bytes_text(999'950) == "1.0 MB");
  CHECK(bytes_text(32'212'254'720) == "32.2 GB");
  CHECK(bytes_text(5'000'000'000'000'000) == "5000.0 TB");
}
