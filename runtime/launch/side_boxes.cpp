#include "runtime/launch/side_boxes.hpp"

namespace moe_tune {

TensorMapDescription with_side_boxes(const TensorMapDescription& map, int columns_of_box) {
  if (map.dims[0] % 64 != 0) return map;
  const std::uint64_t part_bytes = 64 * static_cast<std::uint64_t>(element_bytes(map.type));
  TensorMapDescription result = map;
  result.rank = 4;
  result.dims = {64, map.dims[1], map.dims[0] / 64, map.dims[2]};
  result.strides = {map.strides[0], part_bytes, map.strides[1]};
  result.box = {64, map.box[1], static_cast<std::uint32_t>(columns_of_box / 64), 1};
  return result;
}

}  // namespace moe_tune
