// A real worker whose emitter plants faults in the sources of some configs: by BLOCK_M, a compile bomb (16), a syntax error (32),
// an exception (64), the end of the process (128).
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "generator/emit.hpp"
#include "runtime/tune/worker.hpp"

namespace {

/// Instantiates 2^30 types: no compiler gets to its end.
constexpr const char* compile_bomb = R"(
template <int depth, int path> struct Bomb {
  static constexpr int value = Bomb<depth - 1, path * 2>::value + Bomb<depth - 1, path * 2 + 1>::value;
};
template <int path> struct Bomb<0, path> { static constexpr int value = path & 1; };
extern "C" __global__ void moe_tune_forward(int* out) { *out = Bomb<30, 0>::value; }
)";

std::string emit(const moe_tune::Problem& problem, const moe_tune::KernelConfig& config) {
  switch (config.BLOCK_M) {
    case 16:
      return compile_bomb;
    case 32:
      return "this is no CUDA;";
    case 64:
      throw std::runtime_error("the emitter gives up");
    case 128:
      std::abort();
    default:
      return moe_tune::emit_kernel(problem, config);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "sound") return moe_tune::run_worker(moe_tune::worker_fd);
  return moe_tune::run_worker(moe_tune::worker_fd, {emit});
}
