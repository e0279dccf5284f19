// Which expert owns a row and which slot stands there, by a plain scan over m_sizes: the utility kernels' own reading of the
// device data, independent of the schedule of the measured kernels. Bad data counts as abi/grouped_gemm.cuh says.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
#pragma once

#include "abi/utilities.cuh"
#include "ptx/global.cuh"

namespace moe_tune {

/// Rows [row, row + rows) in expert order, all of one expert; no rows: expert is -1.
struct ExpertRows {
  int expert;
  int row;
  int rows;
};

/// The start of a row of a matrix whose rows lie row_bytes apart.
MOE_DEVICE const char* row_address(const void* base, i64 row, int row_bytes) {
  return static_cast<const char*>(base) + row * row_bytes;
}

/// m_sizes[expert], cut to [0, M].
MOE_DEVICE i64 expert_size(const abi::GroupedGemmArgs& args, int expert) {
  const i64 size = args.m_sizes_64 ? ptx::load_constant(static_cast<const i64*>(args.m_sizes) + expert)
                                   : ptx::load_constant(static_cast<const int*>(args.m_sizes) + expert);
  return size < 0 ? 0 : size > args.M ? args.M : size;
}

/// Group `group` of the rows when every expert's rows are cut into groups of `group_rows`.
MOE_DEVICE ExpertRows find_group(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args, i64 group, int group_rows) {
  i64 start = 0;
  for (int expert = 0; expert < shape.E; ++expert) {
    i64 end = start + expert_size(args, expert);
    if (end > args.M) end = args.M;
    const i64 first = start + group * group_rows;
    if (first < end)
      return {expert, static_cast<int>(first), static_cast<int>(end - first < group_rows ? end - first : group_rows)};
    group -= (end - start + group_rows - 1) / group_rows;
    start = end;
  }
  return {-1, 0, 0};
}

/// All rows of an expert.
MOE_DEVICE ExpertRows rows_of_expert(const abi::GroupedGemmArgs& args, int expert) {
  i64 start = 0;
  for (int before = 0; before < expert; ++before) start += expert_size(args, before);
  if (start > args.M) start = args.M;
  const i64 size = expert_size(args, expert);
  return {expert, static_cast<int>(start), static_cast<int>(size < args.M - start ? size : args.M - start)};
}

/// The expert of a row below M; -1 past the last expert's rows.
MOE_DEVICE int expert_of_row(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args, int row) {
  return find_group(shape, args, row, 1).expert;
}

/// gather_indices[row], or -1 where it lies outside [0, M).
MOE_DEVICE int slot_of_row(const abi::GroupedGemmArgs& args, int row) {
  const i64 slot = args.gather_indices_64 ? ptx::load_constant(static_cast<const i64*>(args.gather_indices) + row)
                                          : ptx::load_constant(static_cast<const int*>(args.gather_indices) + row);
  return slot < 0 || slot >= args.M ? -1 : static_cast<int>(slot);
}

/// The row of y where a row in expert order is stored; -1 for none.
MOE_DEVICE int output_row(const abi::RowsShape& shape, const abi::GroupedGemmArgs& args, int row) {
  return shape.scatter_rows ? slot_of_row(args, row) : row;
}

}  // namespace moe_tune
