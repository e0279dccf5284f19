// How many of a call's tokens are there, where the device knows it and the host does not.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "ptx/global.cuh"

namespace moe_tune {

/// *token_count, cut to [0, tokens] and reported where it is outside; `tokens` when it is null.
MOE_DEVICE int count_tokens(const int* token_count, int tokens, u32* status) {
  if (token_count == nullptr) return tokens;
  const int count = ptx::load_constant(token_count);
  if (count >= 0 && count <= tokens) return count;
  if (ptx::block_index() == 0 && ptx::thread_index() == 0) ptx::set_status(status, abi::status_bad_token_count);
  return count < 0 ? 0 : tokens;
}

}  // namespace moe_tune
