#include "runtime/tune/plan.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "tests/support/small_tuning.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;

namespace {

/// The two GEMMs of llama4-maverick, or their small likes.
std::vector<Problem> layer(int E, int H, int I, int top_k) {
  Problem gate_up;
  gate_up.E = E;
  gate_up.N = 2 * I;
  gate_up.K = H;
  gate_up.top_k = top_k;
  gate_up.permute_x = true;
  Problem down = gate_up;
  down.gemm = Gemm::down;
  down.N = H;
  down.K = I;
  down.permute_x = false;
  down.permute_y = true;
  return {gate_up, down};
}

struct Planning {
  test::TemporaryFolder folder;
  TuneOptions options = test::small_tuning(folder.path(), true);
};

}  // namespace

TEST_CASE("a plan counts points, candidates, memory and time") {
  Planning p;
  const TunePlan plan = make_plan(p.options);
  REQUIRE(plan.points.size() == 3);
  CHECK(plan.refusals.empty());
  CHECK(plan.points[0].range == TokenRange{1, 1, 4});
  CHECK(plan.points[2].tokens == 256);
  CHECK(plan.points[0].space > 100);
  CHECK(plan.points[0].compile >= 24);
  CHECK(plan.points[0].compile <= 29);
  CHECK(plan.points[0].measure == plan.points[0].compile);
  CHECK(plan.points[1].compile < plan.points[1].measure);  // some were compiled for the point before
  CHECK(plan.measure() == plan.points[0].measure + plan.points[1].measure + plan.points[2].measure);
  CHECK(plan.points[2].device_bytes > plan.points[0].device_bytes);
  CHECK(plan.device_bytes > plan.points[2].device_bytes);
  CHECK(plan.seconds > 0);
  CHECK(plan.layer_weight_bytes == 8 * 256 * 320 * 2);
  CHECK(plan.host_bytes > 0);
  CHECK(plan.host_available > 0);

  p.options.jobs = 8;
  CHECK(make_plan(p.options).seconds < plan.seconds);
}

TEST_CASE("a prediction needs no device memory and measures nothing") {
  Planning p;
  p.options.target.live = false;
  const TunePlan plan = make_plan(p.options);
  CHECK(plan.device_bytes == 0);
  CHECK(plan.measure() == 0);
  CHECK(plan.compile() > 64);
}

TEST_CASE("llama4-maverick fits an H200 and not an RTX 4090") {
  Planning p;
  p.options.problems = layer(128, 5120, 8192, 1);
  p.options.tokens = {8192};
  const TunePlan fits = make_plan(p.options);
  CHECK(fits.refusals.empty());
  CHECK(fits.layer_weight_bytes == std::int64_t{32'212'254'720});
  CHECK(fits.device_bytes > std::int64_t{21'000'000'000});
  CHECK(fits.device_bytes < std::int64_t{24'000'000'000});

  p.options.target = named_target(find_device("rtx4090"), "13.0");
  const TunePlan refused = make_plan(p.options);
  REQUIRE(refused.refusals.size() == 1);
  CHECK_THAT(refused.refusals[0], Catch::Contains("32.2 GB") && Catch::Contains("RTX 4090") && Catch::Contains("25.8 GB"));
}

TEST_CASE("a device with too little free memory is refused with the numbers") {
  Planning p;
  p.options.target.free_bytes = 100'000'000;
  const TunePlan plan = make_plan(p.options);
  REQUIRE(plan.refusals.size() == 1);
  CHECK_THAT(plan.refusals[0], Catch::Contains("0.1 GB free"));
}

TEST_CASE("too many compilers for the host are refused") {
  Planning p;
  p.options.jobs = 100'000;
  const TunePlan plan = make_plan(p.options);
  REQUIRE(plan.refusals.size() == 1);
  CHECK_THAT(plan.refusals[0], Catch::Contains("--jobs"));
}

TEST_CASE("options that make no sense are refused") {
  Planning p;
  SECTION("no problem") { p.options.problems.clear(); }
  SECTION("no tokens") { p.options.tokens.clear(); }
  SECTION("descending") { p.options.tokens = {4, 1}; }
  SECTION("twice the same") { p.options.tokens = {4, 4}; }
  SECTION("top_k above E") { p.options.problems[0].top_k = 9; }
  SECTION("rows beyond an int") {
    p.options.problems = layer(256, 64, 64, 200);
    p.options.tokens = {16'000'000};
  }
  SECTION("negative gain") { p.options.min_gain = -0.1; }
  CHECK_THROWS_AS(make_plan(p.options), UsageError);
}
