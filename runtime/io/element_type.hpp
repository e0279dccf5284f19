// The element types of safetensors files.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace moe_tune {

/// All that the format has. Only bf16, fp16 and fp32 are computed with here; files may hold others beside them.
enum class ElementType : std::uint8_t {
  boolean,
  fp4,
  fp6_e2m3,
  fp6_e3m2,
  uint8,
  int8,
  fp8_e5m2,
  fp8_e4m3,
  fp8_e8m0,
  fp8_e4m3fnuz,
  fp8_e5m2fnuz,
  int16,
  uint16,
  fp16,
  bf16,
  int32,
  uint32,
  fp32,
  complex64,
  fp64,
  int64,
  uint64,
};

/// Of one element; 4 and 6 for the types that share bytes.
int element_bits(ElementType type);

/// As the format spells it: "BF16".
std::string_view to_string(ElementType type);
std::optional<ElementType> find_element_type(std::string_view spelling);

}  // namespace moe_tune
