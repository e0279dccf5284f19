#include "runtime/jit/module.hpp"

#include <catch2/catch.hpp>

#include "moe_tune/error.hpp"
#include "runtime/jit/compiler.hpp"
#include "runtime/jit/device.hpp"

using namespace moe_tune;

TEST_CASE("module: kernels by name on a GPU, a clear error without one") {
  const std::string cubin =
      "\x7f"
      "ELF";
  if (device_count() == 0) {
    CHECK_THROWS_AS(Module(cubin), EnvironmentError);
    return;
  }
  CHECK_THROWS_WITH(Module(cubin), Catch::Contains("no CUDA context"));
  const PrimaryContext context(0);
  const CurrentContext current(context.get());
  CHECK_THROWS_AS(Module(""), EnvironmentError);

  Module module(compile("extern \"C\" __global__ void k(int* p) { *p = 1; }", arch_of(query_device(0)), "k.cu").cubin);
  CHECK(module.function("k") != nullptr);
  CHECK_THROWS_WITH(module.function("absent"), Catch::Contains("absent"));
  Module other = std::move(module);
  CHECK(other.function("k") != nullptr);
}
