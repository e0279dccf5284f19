// How many rows the experts of a call have, for kernels that treat rows of all experts alike.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/grouped_gemm.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"

namespace moe_tune {

/// The sum of E m_sizes, cut to [0, M] and reported as ExpertTiles does it; M when m_sizes is null. By a whole warp.
MOE_DEVICE int count_rows(const abi::GroupedGemmArgs& args, int E) {
  if (args.m_sizes == nullptr) return args.M;
  int rows = 0;
  bool bad = false;
  const auto add = [&](i64 more) {
    bad = bad || more < 0 || more > args.M - rows;
    rows = more < 0 ? rows : more > args.M - rows ? args.M : rows + static_cast<int>(more);
  };
  MOE_NO_UNROLL
  for (int expert = static_cast<int>(ptx::lane_index()); expert < E; expert += 32) {
    add(args.m_sizes_64 ? ptx::load_constant(static_cast<const i64*>(args.m_sizes) + expert)
                        : ptx::load_constant(static_cast<const int*>(args.m_sizes) + expert));
  }
  MOE_UNROLL
  for (u32 mask = 16; mask > 0; mask /= 2) add(ptx::shuffle(rows, ptx::lane_index() ^ mask));
  if (bad && ptx::block_index() == 0 && ptx::thread_index() < 32) ptx::set_status(args.status, abi::status_bad_m_sizes);
  return rows;
}

}  // namespace moe_tune
