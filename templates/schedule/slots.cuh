// Routed slots: gather_indices[r] says which slot (token * top_k + choice) stands at sorted row r.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "ptx/global.cuh"

namespace moe_tune {

/// The slot of sorted row `row`, or -1 with the status bit set when it is outside [0, M).
MOE_DEVICE int load_slot(const abi::GroupedGemmArgs& args, int row) {
  const i64 slot = args.gather_indices_64 ? ptx::load_constant(static_cast<const i64*>(args.gather_indices) + row)
                                          : ptx::load_constant(static_cast<const int*>(args.gather_indices) + row);
  if (slot >= 0 && slot < args.M) return static_cast<int>(slot);
  ptx::set_status(args.status, abi::status_bad_gather_index);
  return -1;
}

}  // namespace moe_tune
