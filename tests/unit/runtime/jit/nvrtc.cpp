#include "runtime/jit/nvrtc.hpp"

#include <catch2/catch.hpp>

#include <fstream>

#include "moe_tune/error.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using test::EnvironmentVariable;
using test::TemporaryFolder;

namespace fs = std::filesystem;

namespace {

void touch(const fs::path& file) {
  fs::create_directories(file.parent_path());
  std::ofstream(file).put('x');
}

}  // namespace

TEST_CASE("nvrtc: an exact path is the only candidate") {
  const EnvironmentVariable exact("MOE_TUNE_NVRTC", "/somewhere/libnvrtc.so");
  CHECK(nvrtc_candidates() == std::vector<fs::path>{"/somewhere/libnvrtc.so"});
}

TEST_CASE("nvrtc: candidates in order, the newest of each folder first") {
  const TemporaryFolder folder;
  touch(folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc.so.9");
  touch(folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc.so.12");
  touch(folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.4");
  touch(folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12");
  touch(folder / "deps/nvidia/cu13/lib/libnvrtc.so.13");
  touch(folder / "home/lib64/libnvrtc.so.12.4.127");
  touch(folder / "path/lib64/libnvrtc.so.12.9.1");
  const EnvironmentVariable exact("MOE_TUNE_NVRTC", std::nullopt);
  const EnvironmentVariable deps("MOE_TUNE_DEPS", (folder / "deps").string());
  const EnvironmentVariable home("CUDA_HOME", (folder / "home").string());
  const EnvironmentVariable path("CUDA_PATH", (folder / "path").string());

  std::vector<fs::path> candidates = nvrtc_candidates();
  REQUIRE(candidates.size() >= 7);
  candidates.resize(7);  // what /usr/local holds is this machine's affair
  CHECK(candidates == std::vector<fs::path>{
                          folder / "deps/nvidia/cu13/lib/libnvrtc.so.13",
                          folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
                          folder / "deps/nvidia/cuda_nvrtc/lib/libnvrtc.so.9",
                          folder / "home/lib64/libnvrtc.so.12.4.127",
                          folder / "path/lib64/libnvrtc.so.12.9.1",
                          "libnvrtc.so.13",
                          "libnvrtc.so.12",
                      });
}

TEST_CASE("nvrtc: what is no NVRTC is named in the error") {
  CHECK_THROWS_WITH(Nvrtc("/nowhere/libnvrtc.so.12"), Catch::Contains("/nowhere/libnvrtc.so.12"));
  CHECK_THROWS_WITH(Nvrtc("libc.so.6"), Catch::Contains("libc.so.6") && Catch::Contains("nvrtcGetErrorString"));
  CHECK_THROWS_AS(Nvrtc("libc.so.6"), EnvironmentError);
}

TEST_CASE("nvrtc: the compiler of this machine") {
  const Nvrtc& compiler = nvrtc();
  CHECK(compiler.version() >= oldest_nvrtc);
  CHECK(compiler.path().is_absolute());
  CHECK(compiler.supports("sm_80"));
  CHECK(compiler.supports("sm_90"));
  CHECK(compiler.supports("sm_90a"));
  for (const char* arch : {"sm_80a", "sm_10", "compute_80", "sm_", "sm_90aa", "90", ""}) CHECK_FALSE(compiler.supports(arch));
}

TEST_CASE("nvrtc: a source compiles, or the log says why not") {
  const std::vector<std::string> options = {"--gpu-architecture=sm_80"};
  const Nvrtc::Output good = nvrtc().compile("extern \"C\" __global__ void k(int* p) { *p = 1; }", "good.cu", options);
  CHECK(good.ok);
  CHECK(good.cubin.substr(0, 4) ==
        "\x7f"
        "ELF");

  const Nvrtc::Output bad = nvrtc().compile("extern \"C\" __global__ void k(int* p) { *p = missing; }", "bad.cu", options);
  CHECK_FALSE(bad.ok);
  CHECK(bad.cubin.empty());
  CHECK_THAT(bad.log, Catch::Contains("bad.cu(1): error") && Catch::Contains("missing"));
}

TEST_CASE("nvrtc: an option that it does not know is no fault of the source") {
  const std::vector<std::string> options = {"--no-such-option"};
  CHECK_THROWS_WITH(nvrtc().compile("", "empty.cu", options), Catch::Contains("nvrtcCompileProgram"));
}

TEST_CASE("nvrtc: versions print and compare") {
  CHECK(to_string(NvrtcVersion{12, 4}) == "12.4");
  CHECK(NvrtcVersion{12, 9} < NvrtcVersion{13, 0});
  CHECK(NvrtcVersion{12, 10} > NvrtcVersion{12, 9});
}
