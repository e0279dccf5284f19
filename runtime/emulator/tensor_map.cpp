#include "runtime/emulator/tensor_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <type_traits>

#include "generator/support/hash.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune::emulator {

namespace {

constexpr std::uint64_t emulated_mark = 0x70616d2d75656f6d;  // "moeu-map"
constexpr std::uint32_t shared_alignment = 128;

/// The bytes of a map. No padding: all of it is checked.
struct PackedMap {
  std::uint64_t mark;
  std::uint64_t address;
  std::array<std::uint64_t, max_tensor_rank> dims;
  std::array<std::uint64_t, max_tensor_rank - 1> strides;
  std::array<std::uint32_t, max_tensor_rank> box;
  std::uint8_t rank;
  std::uint8_t type;
  std::uint8_t swizzle;
  std::uint8_t l2_promotion;
  std::uint64_t reserved;
  std::uint64_t checksum;  // of all before it
};
static_assert(sizeof(PackedMap) == sizeof(abi::TensorMap) && std::has_unique_object_representations_v<PackedMap>);

std::uint64_t checksum_of(const PackedMap& packed) {
  const std::string_view bytes(reinterpret_cast<const char*>(&packed), offsetof(PackedMap, checksum));
  return std::stoull(hash_hex(bytes).substr(0, 16), nullptr, 16);
}

}  // namespace

abi::TensorMap encode_emulated(const TensorMapDescription& description) {
  check(description);
  const int row_bytes = static_cast<int>(description.box[0]) * element_bytes(description.type);
  if (description.swizzle != Swizzle::none && row_bytes != span_bytes(description.swizzle)) {
    throw UsageError(
        fmt::format("tensor map: a row of the box has {} bytes; the emulator takes the {}-byte swizzle only with rows of "
                    "that many bytes",
                    row_bytes, span_bytes(description.swizzle)));
  }
  PackedMap packed = {emulated_mark,
                      description.address,
                      description.dims,
                      description.strides,
                      description.box,
                      static_cast<std::uint8_t>(description.rank),
                      static_cast<std::uint8_t>(description.type),
                      static_cast<std::uint8_t>(description.swizzle),
                      static_cast<std::uint8_t>(description.l2_promotion),
                      0,
                      0};
  packed.checksum = checksum_of(packed);
  return std::bit_cast<abi::TensorMap>(packed);
}

TensorMapDescription decode_emulated(const abi::TensorMap& map) {
  const auto packed = std::bit_cast<PackedMap>(map);
  if (packed.mark != emulated_mark) {
    throw UsageError("not a tensor map of the emulated device: encode it with emulator::encode_emulated(), and pass it by value");
  }
  if (packed.checksum != checksum_of(packed)) {
    throw UsageError("a damaged tensor map: bytes of it were overwritten after emulator::encode_emulated() had made it");
  }
  TensorMapDescription description;
  description.type = static_cast<MapElement>(packed.type);
  description.rank = packed.rank;
  description.address = packed.address;
  description.dims = packed.dims;
  description.strides = packed.strides;
  description.box = packed.box;
  description.swizzle = static_cast<Swizzle>(packed.swizzle);
  description.l2_promotion = static_cast<L2Promotion>(packed.l2_promotion);
  return description;
}

std::uint32_t box_bytes(const TensorMapDescription& map) {
  std::uint32_t bytes = static_cast<std::uint32_t>(element_bytes(map.type));
  for (int i = 0; i < map.rank; ++i) bytes *= map.box[i];
  return bytes;
}

std::string copy_problem(const TensorMapDescription& map, std::span<const int> coordinates, std::uint32_t shared_address,
                         bool store) {
  if (static_cast<int>(coordinates.size()) != map.rank)
    return fmt::format("the instruction has {} coordinates, the tensor map {} dimensions", coordinates.size(), map.rank);
  if (coordinates[0] * element_bytes(map.type) % chunk_bytes != 0)
    return fmt::format("the box begins {} elements of {} bytes into a row, which is not a multiple of {} bytes", coordinates[0],
                       element_bytes(map.type), chunk_bytes);
  if (store && std::any_of(coordinates.begin(), coordinates.end(), [](int coordinate) { return coordinate < 0; }))
    return fmt::format("a store begins below zero, at ({}); only loads may", fmt::join(coordinates, ", "));
  if (shared_address % shared_alignment != 0)
    return fmt::format("shared address {:#x} is not a multiple of {}", shared_address, shared_alignment);
  return "";
}

}  // namespace moe_tune::emulator
