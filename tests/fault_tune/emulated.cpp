// Real workers with the emulated device: kernels that fault, hang, crash or are wrong there, each found out for what it does.
#include <catch2/catch.hpp>
#include <string>

#include "moe_tune/error.hpp"
#include "runtime/tune/worker_bench.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/small_tuning.hpp"

using namespace moe_tune;
using Catch::Matchers::Contains;

namespace {

WorkerBenchOptions options() {
  WorkerBenchOptions options;
  options.command = {MOE_TUNE_FAULTY_EMULATED};
  options.place = {.device = DeviceKind::emulator, .schedules = 4, .experts = 3};
  options.emulated_launch_limit_ms = 5000;
  return options;
}

KernelConfig sound(int stages) {
  KernelConfig config;
  config.BLOCK_M = 64;
  config.warps = 4;
  config.warps_m = 2;
  config.stages = stages;
  return config;
}

KernelConfig planted(int stages) {
  KernelConfig config = sound(stages);
  config.tile_order = TileOrder::n_fastest;
  return config;
}

}  // namespace

TEST_CASE("kernels planted on the emulated device are found out, and cost nothing but themselves") {
  WorkerBench bench(options());
  bench.set_up({test::small_problem(), 3, {}, 1});
  const VerifyOutcome good = bench.verify(sound(3));
  CAPTURE(good.message);
  CHECK(good.status == AttemptStatus::verified);
  CHECK(good.verification.status == VerifyStatus::pass);
  CHECK(good.verification.device == DeviceKind::emulator);
  CHECK(good.verification.max_rel_err > 0);

  const VerifyOutcome wrong = bench.verify(planted(2));
  CHECK(wrong.status == AttemptStatus::wrong);
  CHECK(wrong.verification.status == VerifyStatus::fail);
  CHECK_THAT(wrong.message, Contains("6 rows differ") && Contains("schedule 0"));

  KernelConfig racing = planted(2);
  racing.ctas_per_sm = 2;
  const VerifyOutcome race = bench.verify(racing);
  CAPTURE(race.message);
  CHECK(race.status == AttemptStatus::fault);
  CHECK(race.verification.device == DeviceKind::emulator);
  CHECK_THAT(race.message,
             Catch::StartsWith("schedule 0: ") && Contains("block") && Contains("warp") && Contains("shared memory"));

  const VerifyOutcome deadlock = bench.verify(planted(5));
  CHECK(deadlock.status == AttemptStatus::hung);
  CHECK_THAT(deadlock.message, Catch::StartsWith("schedule 0: ") && Contains("barrier 1: 32 of 64 threads have arrived"));

  KernelConfig unbuildable = planted(4);
  unbuildable.BLOCK_K = 32;
  const VerifyOutcome refused = bench.verify(unbuildable);
  CHECK(refused.status == AttemptStatus::compile_error);
  CHECK_THAT(refused.message, Contains("refuses the kernel") && !Contains("schedule"));

  CHECK(bench.verify(sound(3)).status == AttemptStatus::verified);
}

TEST_CASE("a kernel that leaves the emulated device ends or blocks its worker alone") {
  WorkerBench bench(options());
  bench.set_up({test::small_problem(), 3, {}, 1});
  const VerifyOutcome wild = bench.verify(planted(4));
  CHECK(wild.status == AttemptStatus::crashed);
  CHECK_THAT(wild.message, Contains("signal 11"));
  CHECK(bench.verify(sound(2)).status == AttemptStatus::verified);

  const VerifyOutcome endless = bench.verify(planted(3));
  CHECK(endless.status == AttemptStatus::hung);
  CHECK_THAT(endless.message, Contains("silent"));
  CHECK(bench.verify(sound(2)).status == AttemptStatus::verified);
}

TEST_CASE("memory that runs out is no candidate's fault") {
  WorkerBench bench(options());
  bench.set_up({test::small_problem(), 3, {}, 1});
  KernelConfig hungry = planted(2);
  hungry.BLOCK_K = 128;
  CHECK_THROWS_WITH(bench.verify(hungry), Contains("more host memory"));
  CHECK(bench.verify(sound(2)).status == AttemptStatus::verified);
}

TEST_CASE("without a host compiler no workload is set up, and the error says what to install") {
  const test::EnvironmentVariable path("PATH", "/nonexistent");
  const test::EnvironmentVariable named("MOE_TUNE_HOST_CXX", "");
  const test::EnvironmentVariable usual("CXX", "");
  WorkerBench bench(options());
  CHECK_THROWS_WITH(bench.set_up({test::small_problem(), 3, {}, 1}), Contains("Install g++"));
  CHECK_THROWS_AS(bench.verify(sound(2)), NoEmulatedDevice);
}
