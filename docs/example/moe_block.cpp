// The C++ API: loads an MoE layer of a Hugging Face checkpoint (Qwen3-MoE) onto GPU 0, runs it, and compares with the reference
// on the CPU. Ends with 0, 1 (wrong), 2 (bad arguments) or 77 (no GPU).
//   moe_block_cpp CHECKPOINT_FOLDER LAYER
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <moe_tune/moe_block.hpp>
#include <moe_tune/moe_reference.hpp>
#include <string>
#include <vector>

#include "gpu.h"
#include "values.h"

/// The largest |fused - reference| of a row over the row's norm, in bf16.
static double worst_row_error(const std::uint16_t* fused, const std::uint16_t* reference, int rows, int columns) {
  double worst = 0;
  for (int row = 0; row < rows; ++row) {
    double difference = 0;
    double norm = 0;
    for (int i = row * columns; i < (row + 1) * columns; ++i) {
      const double expected = from_bfloat16(reference[i]);
      difference += std::pow(from_bfloat16(fused[i]) - expected, 2);
      norm += expected * expected;
    }
    const double error = std::sqrt(difference / norm);
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

static int run(const std::filesystem::path& checkpoint, int layer) {
  // The router, both grouped GEMMs and the combine of one layer, with its weights on the GPU.
  auto block = moe_tune::Qwen3MoeFusedGroupedGemmBlock::from_hf(moe_tune::Library::instance(), checkpoint, layer, /*device*/ 0,
                                                                {}, moe_tune::DType::bf16);
  const int H = block.config().H;
  const int tokens = 33;
  std::vector<std::uint16_t> x(static_cast<std::size_t>(tokens) * H);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = bfloat16(small_value(static_cast<std::uint32_t>(i)));

  moe_tune::MoeForwardArgs args;
  args.hidden_states = gpu_upload(x.data(), x.size() * 2);
  args.out = gpu_alloc(x.size() * 2);
  args.tokens = tokens;
  block.forward(args, /*the default stream*/ nullptr);
  std::vector<std::uint16_t> out(x.size());
  gpu_download(out.data(), args.out, out.size() * 2);
  for (const moe_tune::Gemm gemm : {moe_tune::Gemm::gate_up, moe_tune::Gemm::down}) {
    const moe_tune::Selection selection = block.selection(gemm, tokens);
    std::printf("%s: %s, %s\n", std::string(to_string(gemm)).c_str(), to_string(selection.config).c_str(),
                selection.reason.c_str());
  }

  // The same layer step by step on the CPU, with every intermediate to look at.
  auto reference =
      moe_tune::Qwen3MoeGroupedGemmBlock::from_hf(checkpoint, layer, moe_tune::cpu_device, moe_tune::TensorType::bf16);
  moe_tune::OwnedTensor hidden(moe_tune::TensorType::bf16, {tokens, H});
  hidden.write(x.data(), hidden.bytes());
  const moe_tune::GroupedGemmResult steps = reference.forward(hidden);
  const double error = worst_row_error(out.data(), static_cast<const std::uint16_t*>(steps.hidden_states.data()), tokens, H);
  std::printf("%d tokens; the worst row is %.4f of its norm from the reference\n", tokens, error);
  return error < 0.02 ? 0 : 1;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CHECKPOINT_FOLDER LAYER\n", argv[0]);
    return 2;
  }
  if (!gpu_open()) {
    std::puts("no GPU here");
    return 77;
  }
  try {
    return run(argv[1], std::atoi(argv[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
