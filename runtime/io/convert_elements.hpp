// Matrices of floating-point numbers into another type and order, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/io/element_type.hpp"

namespace moe_tune {

/// Element (row, column) stands at data + (row * row_stride + column * column_stride) elements. May be misaligned.
struct StridedMatrix {
  const std::byte* data;
  ElementType type;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

struct MatrixPlace {
  std::int64_t row;
  std::int64_t column;
};

/// Writes rows x columns elements to `target`, row-major, as `type`. Both types are of bf16, fp16 and fp32. Of one type bits are
/// copied; otherwise rounded to nearest, ties to even. Returns where a finite number first became infinite, if one did.
std::optional<MatrixPlace> convert_elements(const StridedMatrix& source, std::int64_t rows, std::int64_t columns,
                                            ElementType type, std::byte* target);

}  // namespace moe_tune
