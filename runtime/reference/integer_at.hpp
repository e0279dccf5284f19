// Elements of arrays of int32 or int64, as m_sizes and gather_indices are.
#pragma once

#include <cstdint>

namespace moe_tune {

inline std::int64_t integer_at(const void* values, bool is_64, std::int64_t i) {
  return is_64 ? static_cast<const std::int64_t*>(values)[i] : static_cast<const std::int32_t*>(values)[i];
}

}  // namespace moe_tune
