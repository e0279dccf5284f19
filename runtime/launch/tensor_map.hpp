// Tensor maps: what a tensor-map copy (cp.async.bulk.tensor) knows about a tensor in global memory and the box it moves. One
// description, two encoders: encode_tensor_map() for a GPU, emulator::encode_emulated() for the emulated device.
#pragma once

#include <array>
#include <cstdint>

#include "templates/abi/tensor_map.cuh"

namespace moe_tune {

enum class MapElement { u8, u16, u32, u64, i32, i64, fp16, bf16, f32, f64 };

/// How the 16-byte chunks of a box are permuted in shared memory, within spans of this many bytes.
enum class Swizzle { none, bytes32, bytes64, bytes128 };

/// How much of memory around a request the L2 cache reads.
enum class L2Promotion { none, bytes64, bytes128, bytes256 };

inline constexpr int max_tensor_rank = 5;

/// Dimensions count elements, the innermost (contiguous) one first. Elements outside the tensor (a coordinate below 0, or not
/// below its dimension) are zeros when they are loaded and left alone when they are stored. Entries past `rank` are not looked
/// at.
struct TensorMapDescription {
  MapElement type = MapElement::bf16;
  int rank = 1;
  std::uint64_t address = 0;                             ///< of element (0, ..., 0)
  std::array<std::uint64_t, max_tensor_rank> dims = {};  ///< of the tensor
  std::array<std::uint64_t, max_tensor_rank - 1> strides =
      {};                                               ///< bytes; strides[i] is that of dimension i + 1. They may overlap
  std::array<std::uint32_t, max_tensor_rank> box = {};  ///< what one copy moves
  Swizzle swizzle = Swizzle::none;
  L2Promotion l2_promotion = L2Promotion::none;

  bool operator==(const TensorMapDescription&) const = default;
};

constexpr int element_bytes(MapElement type) {
  switch (type) {
    case MapElement::u8:
      return 1;
    case MapElement::u16:
    case MapElement::fp16:
    case MapElement::bf16:
      return 2;
    case MapElement::u64:
    case MapElement::i64:
    case MapElement::f64:
      return 8;
    default:
      return 4;
  }
}

/// Bytes that a swizzle permutes chunks within; one chunk without a swizzle.
constexpr int span_bytes(Swizzle swizzle) { return 16 << static_cast<int>(swizzle); }

/// Throws UsageError naming the rule of cuTensorMapEncodeTiled that the description breaks.
void check(const TensorMapDescription& description);

/// The map for the current context's GPU, of compute capability 9.0 or higher. Throws UsageError like check(), and
/// EnvironmentError where there is no driver or it refuses.
abi::TensorMap encode_tensor_map(const TensorMapDescription& description);

}  // namespace moe_tune
