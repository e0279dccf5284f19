// Tensor maps of the emulated device, and what a copy through one moves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/emulator/swizzle.hpp"
#include "runtime/launch/tensor_map.hpp"

namespace moe_tune::emulator {

inline constexpr int chunk_bytes = 16;

/// The description in the 128 bytes of a map, with a mark and a checksum. Throws UsageError like check(), and for a swizzled box
/// whose rows are narrower than the swizzle: where its next row begins is not documented.
abi::TensorMap encode_emulated(const TensorMapDescription& description);

/// The description that encode_emulated() packed. Throws UsageError when the bytes are not such a map: one for a GPU, not a map,
/// or damaged.
TensorMapDescription decode_emulated(const abi::TensorMap& map);

/// Bytes of shared memory that a copy reads or writes, which is also what a load adds to its mbarrier: all of the box, elements
/// outside the tensor included.
std::uint32_t box_bytes(const TensorMapDescription& map);

/// Why the instruction may not copy the box at `coordinates` from or to this place in shared memory; empty where it may. The
/// place must be a multiple of 128 bytes, swizzled or not: a box may begin within a swizzle pattern. Where a box begins in a row
/// must be a multiple of 16 bytes, and a store may not begin below zero: an H200 stops at others with an illegal instruction.
std::string copy_problem(const TensorMapDescription& map, std::span<const int> coordinates, std::uint32_t shared_address,
                         bool store);

/// Sixteen bytes of a box. They come from consecutive elements of one row of the tensor, of which bytes [begin, end) are inside
/// it; the others are zeros when loaded. Stores clip in units of chunks: one with any byte inside is stored whole (seen on an
/// H200). begin == end: all are outside.
struct BoxChunk {
  std::uint32_t shared_address;
  std::uint64_t global_address;  ///< of byte 0, which need not be inside the tensor
  int begin;
  int end;
};

/// Calls visit(BoxChunk) for every 16 bytes of the box at `coordinates` (map.rank of them, innermost first), in the order of the
/// unswizzled box. `map` satisfies check(); copy_problem() has nothing against the rest.
template <class Visitor>
void for_each_chunk(const TensorMapDescription& map, std::span<const int> coordinates, std::uint32_t shared_address,
                    Visitor&& visit) {
  const int size = element_bytes(map.type);
  const std::int64_t row_bytes = static_cast<std::int64_t>(map.box[0]) * size;
  // The part of each row that is inside the tensor, in bytes from the row's first.
  const std::int64_t first = coordinates[0];
  const std::int64_t row_begin = -first * size;
  const std::int64_t row_end = (static_cast<std::int64_t>(map.dims[0]) - first) * size;
  const auto clip = [](std::int64_t position) {
    return static_cast<int>(position < 0 ? 0 : position > chunk_bytes ? chunk_bytes : position);
  };

  std::uint32_t position = shared_address;
  std::array<std::uint32_t, max_tensor_rank> index = {};  // of the row in the box; index[0] stays 0
  for (bool rows_left = true; rows_left;) {
    std::uint64_t row_address = map.address + static_cast<std::uint64_t>(first * size);
    bool inside = true;
    for (int i = 1; i < map.rank; ++i) {
      const std::int64_t coordinate = static_cast<std::int64_t>(coordinates[i]) + index[i];
      inside = inside && coordinate >= 0 && static_cast<std::uint64_t>(coordinate) < map.dims[i];
      row_address += static_cast<std::uint64_t>(coordinate) * map.strides[i - 1];
    }
    for (std::int64_t byte = 0; byte < row_bytes; byte += chunk_bytes, position += chunk_bytes) {
      const int begin = clip(row_begin - byte);
      const int end = inside ? clip(row_end - byte) : begin;
      visit(BoxChunk{swizzled(position, map.swizzle), row_address + static_cast<std::uint64_t>(byte), begin,
                     end < begin ? begin : end});
    }
    rows_left = false;
    for (int i = 1; i < map.rank && !rows_left; ++i) {
      rows_left = ++index[i] < map.box[i];
      if (!rows_left) index[i] = 0;
    }
  }
}

}  // namespace moe_tune::emulator
