#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <string_view>

#include "runtime/jit/device.hpp"

int main(int argc, char** argv) {
  // Listing the tests needs no GPU: ctest does it while building.
  const bool lists = argc > 1 && std::string_view(argv[1]).starts_with("--list");
  if (!lists && moe_tune::device_count() == 0) return 77;
  return Catch::Session().run(argc, argv);
}
