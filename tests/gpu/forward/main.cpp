// The GPU tests: exit code 77 where there is no GPU, which ctest reports as skipped.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>

#include "runtime/jit/device.hpp"
#include "tests/gpu/support/gpu.hpp"

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int code = session.applyCommandLine(argc, argv); code != 0) return code;
  const Catch::ConfigData& options = session.configData();
  // The build lists the tests, on machines without a GPU too.
  const bool lists =
      options.listTests || options.listTags || options.listReporters || options.listTestNamesOnly || options.showHelp;
  if (!lists && moe_tune::device_count() == 0) {
    std::printf("no GPU: not tried\n");
    return 77;
  }
  // Makes the context current that every test allocates in.
  if (!lists) moe_tune::test::Gpu::get();
  return session.run();
}
