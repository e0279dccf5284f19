// What a tensor-map copy moves, by its definition: element by element.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

#include "tests/ptx/support/micro_test.hpp"
#include "tests/ptx/support/values.hpp"

namespace moe_tune::test {

/// Those that are left out are 0.
using Coordinates = std::array<int, 4>;

/// Where byte `position` of a swizzled pattern that begins at a multiple of 1024 lies: within each span of 32, 64 or 128 bytes
/// the 16-byte chunks change places, by the number of the 128-byte line.
inline std::uint32_t swizzled_position(Swizzle swizzle, std::uint32_t position) {
  if (swizzle == Swizzle::none) return position;
  const std::uint32_t span = swizzle == Swizzle::bytes32 ? 32 : swizzle == Swizzle::bytes64 ? 64 : 128;
  const std::uint32_t line = position / 128, chunk = position % span / 16, chunks = span / 16;
  return position / span * span + (chunk ^ line % chunks) * 16 + position % 16;
}

inline std::uint32_t box_bytes_of(const TensorMapDescription& map) {
  std::uint32_t bytes = static_cast<std::uint32_t>(element_bytes(map.type));
  for (int i = 0; i < map.rank; ++i) bytes *= map.box[i];
  return bytes;
}

/// visit(position in shared memory, place in the buffer of the map, whether that is inside the tensor) for each element of the
/// box. A row of the tensor ends for loads where it ends, and for stores at the next multiple of 16 bytes.
inline void for_each_element(const TensorMapDescription& map, const Coordinates& at, std::uint32_t offset, std::uint32_t row_unit,
                             const std::function<void(std::uint32_t, std::uint64_t, bool)>& visit) {
  const auto size = static_cast<std::uint32_t>(element_bytes(map.type));
  const auto extent = [&](int d) { return map.rank > d ? map.box[static_cast<std::size_t>(d)] : 1; };
  std::uint32_t position = offset;
  for (std::uint32_t l = 0; l < extent(3); ++l) {
    for (std::uint32_t k = 0; k < extent(2); ++k) {
      for (std::uint32_t j = 0; j < extent(1); ++j) {
        for (std::uint32_t i = 0; i < extent(0); ++i, position += size) {
          const std::int64_t index[] = {at[0] + std::int64_t{i}, at[1] + std::int64_t{j}, at[2] + std::int64_t{k},
                                        at[3] + std::int64_t{l}};
          const std::int64_t unit = row_unit / size > 1 ? row_unit / size : 1;
          bool inside = index[0] >= 0 && index[0] / unit * unit < static_cast<std::int64_t>(map.dims[0]);
          std::uint64_t place = map.address + static_cast<std::uint64_t>(index[0] * size);
          for (int d = 1; d < map.rank; ++d) {
            inside = inside && 0 <= index[d] && index[d] < static_cast<std::int64_t>(map.dims[d]);
            place += static_cast<std::uint64_t>(index[d]) * map.strides[d - 1];
          }
          visit(swizzled_position(map.swizzle, position), place, inside);
        }
      }
    }
  }
}

inline unsigned char* bytes_of(Words& buffer) { return reinterpret_cast<unsigned char*>(buffer.data()); }
inline const unsigned char* bytes_of(const Words& buffer) { return reinterpret_cast<const unsigned char*>(buffer.data()); }

/// Shared memory of `bytes` bytes that held ones, after a load of the box to `offset`.
inline Words loaded_box(const TensorMapDescription& map, const Coordinates& at, std::uint32_t offset, std::uint32_t bytes,
                        const Words& tensor) {
  Words shared(bytes / 4, ~0u);
  const auto size = static_cast<std::size_t>(element_bytes(map.type));
  for_each_element(map, at, offset, 1, [&](std::uint32_t position, std::uint64_t place, bool inside) {
    if (inside) {
      std::memcpy(bytes_of(shared) + position, bytes_of(tensor) + place, size);
    } else {
      std::memset(bytes_of(shared) + position, 0, size);
    }
  });
  return shared;
}

}  // namespace moe_tune::test
