// moe-tune bench --block: times a whole block and each of its steps.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/model_shape.hpp"
#include "moe_tune/moe_block.hpp"
#include "tools/table.hpp"

namespace moe_tune::cli {

struct BlockBench {
  ModelShape model;
  DType dtype = DType::bf16;
  std::vector<int> tokens;
  LibraryOptions library;
  int ordinal = 0;
  int rounds = 50;
  std::uint64_t seed = 1;
  FusedBlockOptions block;
  bool backward = false;  ///< of all gradients, after each forward
};

/// Times a forward, or a forward and its backward, as a whole and step by step, on random data, in random turns with a cold L2
/// cache: one row for each step and one for all. Steps are named as MoeStepObserver is told, with "backward." before those of the
/// backward. Throws EnvironmentError without a GPU or for bad device data.
Table bench_block(const BlockBench& options);

}  // namespace moe_tune::cli
