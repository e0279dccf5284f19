// Tensor maps whose boxes hold several parts of 64 columns: templates/mainloop/side_boxes.cuh loads through them.
#pragma once

#include "runtime/launch/tensor_map.hpp"

namespace moe_tune {

/// Of a map of rank 3 {columns, rows, matrices} with boxes of 64 columns: the same tensor as {64, rows, parts of 64 columns,
/// matrices}, whose boxes hold the parts of `columns_of_box` columns, a multiple of 64. The map itself where its columns are no
/// multiple of 64: a last part would reach into the next row.
TensorMapDescription with_side_boxes(const TensorMapDescription& map, int columns_of_box);

}  // namespace moe_tune
