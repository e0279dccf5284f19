// Checks of pointers and strides that callers give; UsageError says which of an operation's arguments is wrong.
#pragma once

#include <cstdint>
#include <string_view>

#include "moe_tune/grouped_gemm.hpp"

namespace moe_tune {

/// Of tensors of rows, in bytes.
inline constexpr std::int64_t tensor_alignment = 16;

constexpr int bytes_of(IndexType type) { return type == IndexType::int64 ? 8 : 4; }
constexpr int bytes_of(WeightType type, int storage_bytes) { return type == WeightType::float32 ? 4 : storage_bytes; }

class ArgumentChecks {
 public:
  /// Messages begin with the operation's name.
  constexpr explicit ArgumentChecks(std::string_view operation) : operation_(operation) {}

  /// `when` ends the message about a null pointer that is `needed`.
  void pointer(std::string_view name, const void* pointer, std::int64_t aligned_to, bool needed,
               std::string_view when = "") const;
  /// The distance between rows of `length` elements in bytes; `stride` 0 means `length`.
  int row_bytes(std::string_view name, std::int64_t stride, std::int64_t length, int element) const;

 protected:
  std::string_view operation_;
};

}  // namespace moe_tune
