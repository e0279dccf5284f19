#include "runtime/launch/tensor_map.hpp"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

namespace {

constexpr std::uint64_t alignment = 16;
constexpr std::uint64_t max_dimension = std::uint64_t{1} << 32;
constexpr std::uint64_t stride_limit = std::uint64_t{1} << 40;
constexpr std::uint32_t max_box = 256;

template <class... Args>
void require(bool holds, fmt::format_string<Args...> message, Args&&... args) {
  if (!holds) throw UsageError("tensor map: " + fmt::format(message, std::forward<Args>(args)...));
}

CUtensorMapDataType driver_type(MapElement type) {
  switch (type) {
    case MapElement::u8:
      return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case MapElement::u16:
      return CU_TENSOR_MAP_DATA_TYPE_UINT16;
    case MapElement::u32:
      return CU_TENSOR_MAP_DATA_TYPE_UINT32;
    case MapElement::u64:
      return CU_TENSOR_MAP_DATA_TYPE_UINT64;
    case MapElement::i32:
      return CU_TENSOR_MAP_DATA_TYPE_INT32;
    case MapElement::i64:
      return CU_TENSOR_MAP_DATA_TYPE_INT64;
    case MapElement::fp16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case MapElement::bf16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case MapElement::f32:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case MapElement::f64:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT64;
  }
  throw UsageError(fmt::format("tensor map: {} is no MapElement", static_cast<int>(type)));
}

CUtensorMapSwizzle driver_swizzle(Swizzle swizzle) {
  static_assert(CU_TENSOR_MAP_SWIZZLE_NONE == static_cast<int>(Swizzle::none));
  static_assert(CU_TENSOR_MAP_SWIZZLE_32B == static_cast<int>(Swizzle::bytes32));
  static_assert(CU_TENSOR_MAP_SWIZZLE_64B == static_cast<int>(Swizzle::bytes64));
  static_assert(CU_TENSOR_MAP_SWIZZLE_128B == static_cast<int>(Swizzle::bytes128));
  return static_cast<CUtensorMapSwizzle>(swizzle);
}

CUtensorMapL2promotion driver_promotion(L2Promotion promotion) {
  static_assert(CU_TENSOR_MAP_L2_PROMOTION_NONE == static_cast<int>(L2Promotion::none));
  static_assert(CU_TENSOR_MAP_L2_PROMOTION_L2_64B == static_cast<int>(L2Promotion::bytes64));
  static_assert(CU_TENSOR_MAP_L2_PROMOTION_L2_128B == static_cast<int>(L2Promotion::bytes128));
  static_assert(CU_TENSOR_MAP_L2_PROMOTION_L2_256B == static_cast<int>(L2Promotion::bytes256));
  return static_cast<CUtensorMapL2promotion>(promotion);
}

}  // namespace

void check(const TensorMapDescription& d) {
  require(d.rank >= 1 && d.rank <= max_tensor_rank, "the rank is {}; it must be 1 to {}", d.rank, max_tensor_rank);
  require(d.address % alignment == 0, "the address {:#x} is not a multiple of {}", d.address, alignment);
  for (int i = 0; i < d.rank; ++i) {
    require(d.dims[i] >= 1 && d.dims[i] <= max_dimension, "dims[{}] is {}; it must be 1 to 2^32", i, d.dims[i]);
    require(d.box[i] >= 1 && d.box[i] <= max_box, "box[{}] is {}; it must be 1 to {}", i, d.box[i], max_box);
  }
  for (int i = 0; i + 1 < d.rank; ++i) {
    require(d.strides[i] % alignment == 0, "strides[{}] is {} bytes, not a multiple of {}", i, d.strides[i], alignment);
    require(d.strides[i] < stride_limit, "strides[{}] is {} bytes; it must be less than 2^40", i, d.strides[i]);
  }
  const std::uint32_t row = d.box[0] * static_cast<std::uint32_t>(element_bytes(d.type));
  require(row % alignment == 0, "a row of the box has {} bytes (box[0] = {} elements of {}), not a multiple of {}", row, d.box[0],
          element_bytes(d.type), alignment);
  require(d.swizzle == Swizzle::none || row <= static_cast<std::uint32_t>(span_bytes(d.swizzle)),
          "a row of the box has {} bytes; with the {}-byte swizzle it may have no more than that", row, span_bytes(d.swizzle));
}

abi::TensorMap encode_tensor_map(const TensorMapDescription& description) {
  check(description);
  static_assert(sizeof(abi::TensorMap) == sizeof(CUtensorMap));
  static_assert(sizeof(cuuint64_t) == sizeof(std::uint64_t) && sizeof(cuuint32_t) == sizeof(std::uint32_t));
  constexpr std::array<cuuint32_t, max_tensor_rank> element_strides = {1, 1, 1, 1, 1};
  CUtensorMap map;
  driver().cuTensorMapEncodeTiled(&map, driver_type(description.type), static_cast<cuuint32_t>(description.rank),
                                  reinterpret_cast<void*>(description.address), description.dims.data(),
                                  description.strides.data(), description.box.data(), element_strides.data(),
                                  CU_TENSOR_MAP_INTERLEAVE_NONE, driver_swizzle(description.swizzle),
                                  driver_promotion(description.l2_promotion), CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return std::bit_cast<abi::TensorMap>(map);
}

}  // namespace moe_tune
