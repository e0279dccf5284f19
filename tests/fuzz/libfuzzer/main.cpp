// The entry point of a libFuzzer target; MOE_TUNE_FUZZ_TARGET is one of tests/fuzz/targets.hpp.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  moe_tune::test::MOE_TUNE_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
