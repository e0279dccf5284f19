#include "runtime/launch/rows_maps.hpp"

#include <cstddef>
#include <cstdint>

#include "generator/constraints.hpp"
#include "generator/emit.hpp"
#include "generator/rows_gemm.hpp"
#include "runtime/launch/side_boxes.hpp"

namespace moe_tune {

namespace {

constexpr int box_columns = 64;  // 128 bytes, the swizzle's width

/// Of `rows` rows of tokens or outputs, those that one box has: a tile with few rows moves few.
std::uint32_t box_rows(int rows) { return rows % 32 == 0 ? 32 : 16; }

std::size_t copied_rows_bytes(const Problem& p, std::int64_t M) {
  return static_cast<std::size_t>(M * gathered_rows(p).length * element_bytes(p.dtype));
}

std::uint64_t unsigned_of(std::int64_t value) { return static_cast<std::uint64_t>(value); }

TensorMapDescription swizzled(DType dtype, const void* address) {
  TensorMapDescription map;
  map.type = dtype == DType::bf16 ? MapElement::bf16 : MapElement::fp16;
  map.address = reinterpret_cast<std::uint64_t>(address);
  map.swizzle = Swizzle::bytes128;
  return map;
}

TensorMapDescription loaded_rows(const Problem& p, const KernelConfig& c, const void* rows, std::int64_t row_bytes, int M) {
  TensorMapDescription map = swizzled(p.dtype, rows);
  map.rank = 2;
  map.dims = {unsigned_of(rows_gemm(p).reduction), unsigned_of(M)};
  map.strides = {unsigned_of(row_bytes)};
  map.box = {box_columns, box_rows(c.BLOCK_M)};
  map.l2_promotion = L2Promotion::bytes256;
  return map;
}

TensorMapDescription loaded_weights(const Problem& p, const KernelConfig& c, const abi::GroupedGemmArgs& args) {
  TensorMapDescription map = swizzled(p.dtype, args.w);
  map.rank = 3;
  map.dims = {unsigned_of(p.K), unsigned_of(p.N), unsigned_of(p.E)};
  map.strides = {unsigned_of(args.w_row_bytes), unsigned_of(args.w_expert_bytes)};
  // Not 256, though whole rows are read: that costs 9% of the bandwidth of DRAM (docs/KERNELS.md).
  map.l2_promotion = L2Promotion::bytes128;
  if (rows_gemm(p).weight_rows_are_k) {
    map.box = {box_columns, static_cast<std::uint32_t>(c.BLOCK_K), 1};
    return with_side_boxes(map, c.BLOCK_N);
  }
  map.box = {box_columns, static_cast<std::uint32_t>(p.fuse_swiglu ? c.BLOCK_N / 2 : c.BLOCK_N), 1};
  return map;
}

/// Rows of a tile that one consumer warpgroup stores: all, but for cooperative ones that split them.
int rows_of_consumer(const KernelConfig& c) { return c.mma_m == MmaM::tokens ? c.BLOCK_M / consumers_of_tile(c) : c.BLOCK_M; }

/// Every window of `window` rows of a tensor, by its end: what lies behind the end is clipped.
TensorMapDescription stored_windows(const Problem& p, const void* tensor, int columns, int row_bytes, int window, int M) {
  TensorMapDescription map = swizzled(p.dtype, tensor);
  map.address -= unsigned_of(std::int64_t{window} * row_bytes);
  map.rank = 3;
  map.dims = {unsigned_of(columns), unsigned_of(window), unsigned_of(std::int64_t{M} + window + 1)};
  map.strides = {unsigned_of(row_bytes), unsigned_of(row_bytes)};
  map.box = {box_columns, box_rows(window), 1};
  return map;
}

}  // namespace

std::size_t copied_words(const Problem& p, const KernelConfig& c, std::int64_t M) {
  const bool copied = M > 0 && copies_rows(p, c) && c.gather == Gather::copy_ahead;
  return copied ? static_cast<std::size_t>(1 + (M + abi::copied_piece_rows - 1) / abi::copied_piece_rows) : 0;
}

std::size_t workspace_bytes(const Problem& p, const KernelConfig& c, std::int64_t M) {
  if (!copies_rows(p, c)) return 0;
  return copied_rows_bytes(p, M) + copied_words(p, c, M) * sizeof(unsigned);
}

RowsMaps rows_maps(const Problem& p, const KernelConfig& c, const abi::GroupedGemmArgs& args, const LaunchResources& resources) {
  RowsMaps maps;
  if (copies_rows(p, c)) {
    maps.x = loaded_rows(p, c, resources.workspace, std::int64_t{rows_gemm(p).reduction} * element_bytes(p.dtype), args.M);
  } else if (!gathered_rows(p).any) {
    maps.x = loaded_rows(p, c, args.x, args.x_row_bytes, args.M);
  }
  maps.w = loaded_weights(p, c, args);
  const int window = rows_of_consumer(c);
  if (!rows_gemm(p).scatters) maps.y = stored_windows(p, args.y, output_columns(p), args.y_row_bytes, window, args.M);
  if (p.keep_pre_activation) {
    // A map of each half: the last box of gate columns must not reach into the first up columns.
    const auto* gate = static_cast<const std::byte*>(args.pre_activation);
    const std::byte* up = gate + std::ptrdiff_t{p.N / 2} * element_bytes(p.dtype);
    maps.gate = stored_windows(p, gate, p.N / 2, args.pre_activation_row_bytes, window, args.M);
    maps.up = stored_windows(p, up, p.N / 2, args.pre_activation_row_bytes, window, args.M);
  }
  return maps;
}

abi::RowsSm90Args rows_sm90_args(const Problem& p, const KernelConfig& c, const abi::GroupedGemmArgs& args,
                                 const LaunchResources& resources, TensorMapEncoder encode) {
  const RowsMaps maps = rows_maps(p, c, args, resources);
  const auto encoded = [encode](const std::optional<TensorMapDescription>& map) { return map ? encode(*map) : abi::TensorMap{}; };
  abi::RowsSm90Args result{};
  result.gemm = args;
  result.queue = resources.queue;
  if (copied_words(p, c, args.M) > 0) {
    result.rows = resources.workspace;
    result.copied = reinterpret_cast<unsigned*>(static_cast<std::byte*>(resources.workspace) + copied_rows_bytes(p, args.M));
  }
  result.x = encoded(maps.x);
  result.w = encoded(maps.w);
  result.y = encoded(maps.y);
  result.gate = encoded(maps.gate);
  result.up = encoded(maps.up);
  return result;
}

}  // namespace moe_tune
