#include "runtime/jit/driver.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

#include "moe_tune/error.hpp"

using namespace moe_tune;

TEST_CASE("driver: present or explained, the same in every thread") {
  std::vector<const Driver*> seen(8);
  std::vector<std::thread> threads;
  for (const Driver*& mine : seen) threads.emplace_back([&mine] { mine = try_driver(); });
  for (std::thread& thread : threads) thread.join();
  for (const Driver* one : seen) CHECK(one == seen.front());

  if (seen.front()) {
    CHECK(&driver() == seen.front());
    return;
  }
  std::string why;
  CHECK(try_driver(&why) == nullptr);
  CHECK_THAT(why, Catch::Contains("driver"));
  CHECK_THROWS_AS(driver(), EnvironmentError);
  CHECK_THROWS_WITH(driver(), why);
}

TEST_CASE("driver: functions carry the names that cuda.h maps them to") {
  const Driver unbound;
  CHECK(unbound.cuMemAlloc.name() == std::string("cuMemAlloc_v2"));
  CHECK(unbound.cuCtxPushCurrent.name() == std::string("cuCtxPushCurrent_v2"));
  CHECK(unbound.cuInit.name() == std::string("cuInit"));
}

TEST_CASE("driver: a call that fails throws with its name, result() does not") {
  DriverFunction<CUresult(int*)> function("cuFake");
  const auto fake = [](int* value) { return *value == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; };
  function.bind(reinterpret_cast<void*>(static_cast<CUresult (*)(int*)>(fake)));
  int value = 0;
  CHECK_NOTHROW(function(&value));
  value = 1;
  CHECK(function.result(&value) == CUDA_ERROR_INVALID_VALUE);
  CHECK_THROWS_AS(function(&value), EnvironmentError);
  if (try_driver()) CHECK_THROWS_WITH(function(&value), Catch::Contains("cuFake") && Catch::Contains("CUDA_ERROR_INVALID_VALUE"));
}
