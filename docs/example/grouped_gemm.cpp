// The C++ API: one grouped GEMM on GPU 0, checked. Ends with 0 (right), 1 (wrong) or 77 (no GPU).
#include <cstdio>
#include <exception>
#include <memory>
#include <moe_tune/grouped_gemm.hpp>
#include <vector>

#include "gpu.h"
#include "layer.h"

static int run() {
  const auto data = std::make_unique<layer>();
  fill_layer(data.get());

  // What is fixed when the kernel is compiled. The number of tokens and the routing are not.
  moe_tune::Problem problem;
  problem.gemm = moe_tune::Gemm::gate_up;
  problem.E = EXPERTS;
  problem.N = COLUMNS;
  problem.K = REDUCTION;
  problem.top_k = TOP_K;
  problem.permute_x = true;
  moe_tune::GroupedGemm gemm(moe_tune::Library::instance(), problem, /*device*/ 0);
  const moe_tune::Selection selection = gemm.selection(TOKENS);
  std::printf("%s: %s\n", to_string(selection.config).c_str(), selection.reason.c_str());

  moe_tune::GroupedGemmArgs args;
  args.x = gpu_upload(data->x, sizeof data->x);
  args.w = gpu_upload(data->w, sizeof data->w);
  args.m_sizes = gpu_upload(data->m_sizes, sizeof data->m_sizes);
  args.gather_indices = gpu_upload(data->gather_indices, sizeof data->gather_indices);
  args.tokens = TOKENS;
  std::vector<std::uint16_t> y(ROWS * COLUMNS, 0xffff);  // NaN: an element that is not written counts as wrong
  const std::size_t bytes = y.size() * sizeof y[0];
  args.y = gpu_upload(y.data(), bytes);
  gemm.run(args, /*the default stream*/ nullptr);
  gpu_download(y.data(), args.y, bytes);

  const int wrong = count_wrong(data.get(), y.data());
  std::printf("%d x %d elements, %d wrong\n", ROWS, COLUMNS, wrong);
  return wrong == 0 ? 0 : 1;
}

int main() {
  if (!gpu_open()) {
    std::puts("no GPU here");
    return 77;
  }
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
