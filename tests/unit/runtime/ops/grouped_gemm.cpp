// What GroupedGemm refuses before it touches a GPU. tests/gpu/ has what it computes.
#include <catch2/catch.hpp>

#include <type_traits>

#include "moe_tune/grouped_gemm.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

Problem small_problem() {
  Problem problem;
  problem.E = 4;
  problem.N = 16;
  problem.K = 32;
  return problem;
}

}  // namespace

TEST_CASE("A problem that cannot be served is refused, with or without a GPU") {
  Library library(LibraryOptions{});
  Problem problem = small_problem();
  problem.K = 33;
  CHECK_THROWS_AS(GroupedGemm(library, problem, 0), UsageError);
  CHECK_THROWS_WITH(GroupedGemm(library, problem, 0), Contains("K = 33 is not a multiple of 8"));
  problem = small_problem();
  problem.permute_x = problem.permute_y = true;
  CHECK_THROWS_WITH(GroupedGemm(library, problem, 0), Contains("permute_x and permute_y are never both set"));
}

TEST_CASE("A device that is not there is an error that says so, the same at every attempt") {
  Library library(LibraryOptions{});
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      const GroupedGemm operation(library, small_problem(), 4096);
      FAIL("no error");
    } catch (const UsageError& error) {
      CHECK_THAT(error.what(), Contains("device 4096 does not exist"));
    } catch (const EnvironmentError& error) {
      CHECK_THAT(error.what(), Contains("NVIDIA driver"));
    }
  }
}

TEST_CASE("An operation moves but does not copy, a library does neither") {
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<GroupedGemm>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<GroupedGemm>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<Library>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<Library>);
}

TEST_CASE("The status is false only when nothing was bad") {
  CHECK_FALSE(DeviceStatus{});
  CHECK(DeviceStatus{true, false});
  CHECK(DeviceStatus{false, true});
}
