#include "runtime/launch/weights_maps.hpp"

#include <cstdint>

#include "generator/constraints.hpp"
#include "generator/rows_gemm.hpp"
#include "runtime/launch/side_boxes.hpp"

namespace moe_tune {

namespace {

std::uint64_t unsigned_of(std::int64_t value) { return static_cast<std::uint64_t>(value); }

TensorMapDescription swizzled(DType dtype, const void* address) {
  TensorMapDescription map;
  map.type = dtype == DType::bf16 ? MapElement::bf16 : MapElement::fp16;
  map.address = reinterpret_cast<std::uint64_t>(address);
  map.rank = 3;
  map.swizzle = Swizzle::bytes128;
  return map;
}

/// Every window of `window` rows, by its end: what lies behind the end is loaded as zeros. Boxes have `box` columns.
TensorMapDescription loaded_windows(const Problem& p, const void* rows, int columns, int box, std::int64_t row_bytes, int window,
                                    int M) {
  TensorMapDescription map = swizzled(p.dtype, rows);
  map.address -= unsigned_of(window * row_bytes);
  map.dims = {unsigned_of(columns), unsigned_of(window), unsigned_of(std::int64_t{M} + window + 1)};
  map.strides = {unsigned_of(row_bytes), unsigned_of(row_bytes)};
  map.box = {64, static_cast<std::uint32_t>(window), 1};
  map.l2_promotion = L2Promotion::bytes256;
  return with_side_boxes(map, box);
}

}  // namespace

abi::WeightsSm90Args weights_sm90_args(const Problem& p, const KernelConfig& c, const abi::GroupedGemmArgs& args,
                                       const LaunchResources& resources, TensorMapEncoder encode) {
  const std::int64_t element = element_bytes(p.dtype);
  abi::WeightsSm90Args result{};
  result.gemm = args;
  result.queue = resources.queue;
  const void* x = p.permute_x ? resources.workspace : args.x;
  const void* y = p.permute_y ? resources.workspace : args.y;
  if (args.M > 0) {
    result.x = encode(loaded_windows(p, x, p.K, c.BLOCK_N, p.permute_x ? p.K * element : args.x_row_bytes, c.BLOCK_K, args.M));
    result.y = encode(loaded_windows(p, y, p.N, c.BLOCK_M, p.permute_y ? p.N * element : args.y_row_bytes, c.BLOCK_K, args.M));
  }
  TensorMapDescription w = swizzled(p.dtype, args.w);
  if (p.float32_dw) w.type = MapElement::f32;
  w.dims = {unsigned_of(p.K), unsigned_of(p.N), unsigned_of(p.E)};
  w.strides = {unsigned_of(args.w_row_bytes), unsigned_of(args.w_expert_bytes)};
  // The rows that a consumer stores.
  w.box = {128u / static_cast<unsigned>(weight_element_bytes(p)), static_cast<std::uint32_t>(c.BLOCK_M / consumers_of_tile(c)),
           1};
  result.w = encode(w);
  return result;
}

abi::GroupedGemmArgs dispatch_args(const Problem& p, const abi::GroupedGemmArgs& args) {
  abi::GroupedGemmArgs result = args;
  if (p.op == Op::dW && p.permute_y) {
    result.x = args.y;
    result.x_row_bytes = args.y_row_bytes;
  }
  return result;
}

}  // namespace moe_tune
