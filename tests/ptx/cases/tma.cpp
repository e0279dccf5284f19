#include <fmt/format.h>

#include "tests/ptx/cases/families.hpp"
#include "tests/ptx/support/boxes.hpp"
#include "tests/ptx/support/halves.hpp"

namespace moe_tune::test {

namespace {

constexpr std::size_t tensor_words = 4096;
constexpr std::uint32_t store_unit = 16;  // bytes

/// A tensor of rows with a gap after each, in planes with a gap after each.
TensorMapDescription tensor(MapElement type, std::array<std::uint64_t, 3> dims, std::array<std::uint32_t, 3> box,
                            Swizzle swizzle = Swizzle::none, int rank = 2) {
  const std::uint64_t row = (dims[0] * static_cast<std::uint64_t>(element_bytes(type)) + 15) / 16 * 16 + 16;
  return {.type = type,
          .rank = rank,
          .address = 64,
          .dims = {dims[0], dims[1], dims[2]},
          .strides = {row, row * (dims[1] + 1)},
          .box = {box[0], box[1], box[2]},
          .swizzle = swizzle};
}

const char* name_of(MapElement type) {
  constexpr const char* names[] = {"u8", "u16", "u32", "u64", "i32", "i64", "fp16", "bf16", "f32", "f64"};
  return names[static_cast<int>(type)];
}

std::string describe(const TensorMapDescription& map, const Coordinates& at, std::uint32_t offset) {
  return fmt::format("{}D {} swizzle {} box {} at ({}), {} into shared memory", map.rank, name_of(map.type),
                     map.swizzle == Swizzle::none ? 0 : span_bytes(map.swizzle),
                     fmt::join(map.box.begin(), map.box.begin() + map.rank, "x"),
                     fmt::join(at.begin(), at.begin() + map.rank, ", "), offset);
}

struct LoadOptions {
  std::uint32_t offset = 0;
  bool policy = false;
};

MicroTest load_test(const TensorMapDescription& map, const Coordinates& at, LoadOptions options = {}) {
  const std::uint32_t bytes = box_bytes_of(map), room = options.offset + bytes + 128;
  const Words input = random_words(tensor_words, 200);
  return {
      .name = fmt::format("load {}{}", describe(map, at, options.offset), options.policy ? ", with a policy" : ""),
      .kernel = fmt::format("load_box<{}, {}, {}, {}, {}>", map.rank, options.policy, bytes, options.offset, fmt::join(at, ", ")),
      .threads = 64,
      .shared_bytes = room + 8,
      .maps = {{MapOperand::Buffer::input, map}},
      .input = input,
      .expected = loaded_box(map, at, options.offset, room, input)};
}

/// The element at `place` as the sum of it and what is added, in the arithmetic of the type.
void add_element(MapElement type, unsigned char* place, const unsigned char* added) {
  if (type == MapElement::u32) {
    std::uint32_t a, b;
    std::memcpy(&a, place, 4);
    std::memcpy(&b, added, 4);
    a += b;
    std::memcpy(place, &a, 4);
  } else if (type == MapElement::f32) {
    float a, b;
    std::memcpy(&a, place, 4);
    std::memcpy(&b, added, 4);
    a += b;
    std::memcpy(place, &a, 4);
  } else {
    const HalfFormat& format = type == MapElement::bf16 ? bf16_format : fp16_format;
    std::uint16_t a, b;
    std::memcpy(&a, place, 2);
    std::memcpy(&b, added, 2);
    a = to_half(format, double{from_half(format, a)} + from_half(format, b));
    std::memcpy(place, &a, 2);
  }
}

/// Words whose elements are integers from -100 to 100 (of u32: anything).
Words numbers(MapElement type, std::size_t count, std::uint32_t seed) {
  const Words random = random_words(count, seed);
  const auto integer = [](std::uint32_t word) { return static_cast<float>(static_cast<int>(word % 201) - 100); };
  if (type == MapElement::u32) return random;
  if (type == MapElement::f32) return words(count, [&](auto i) { return bits(integer(random[i])); });
  const HalfFormat& format = type == MapElement::bf16 ? bf16_format : fp16_format;
  return words(count, [&](auto i) {
    return to_half(format, integer(random[i])) | std::uint32_t{to_half(format, integer(random[i] / 512))} << 16;
  });
}

MicroTest store_test(const TensorMapDescription& map, const Coordinates& at, std::uint32_t offset = 0) {
  const std::uint32_t bytes = box_bytes_of(map);
  const Words input = random_words(bytes / 4, 201);
  Words expected(tensor_words, poison);
  for_each_element(map, at, offset, store_unit, [&](std::uint32_t position, std::uint64_t place, bool inside) {
    if (inside)
      std::memcpy(bytes_of(expected) + place, bytes_of(input) + position - offset,
                  static_cast<std::size_t>(element_bytes(map.type)));
  });
  return {.name = fmt::format("store {}", describe(map, at, offset)),
          .kernel = fmt::format("store_box<{}, micro::Store::replace, {}, {}, {}, {}, {}>", map.rank, bytes, offset, at[0], at[1],
                                at[2]),
          .threads = 64,
          .shared_bytes = offset + bytes,
          .maps = {{MapOperand::Buffer::output, map}},
          .input = input,
          .expected = expected};
}

MicroTest reduce_test(const TensorMapDescription& map, const Coordinates& at, unsigned blocks) {
  const std::uint32_t bytes = box_bytes_of(map);
  const Words input = numbers(map.type, bytes / 4, 202), before = numbers(map.type, tensor_words, 203);
  Words expected = before;
  for (unsigned block = 0; block < blocks; ++block) {
    for_each_element(map, at, 0, store_unit, [&](std::uint32_t position, std::uint64_t place, bool inside) {
      if (inside) add_element(map.type, bytes_of(expected) + place, bytes_of(input) + position);
    });
  }
  return {.name = fmt::format("add {} times {}", blocks, describe(map, at, 0)),
          .kernel = fmt::format("store_box<{}, micro::Store::add, {}, 0, {}, {}, {}>", map.rank, bytes, at[0], at[1], at[2]),
          .blocks = blocks,
          .threads = 64,
          .shared_bytes = bytes,
          .maps = {{MapOperand::Buffer::output, map}},
          .input = input,
          .output = before,
          .expected = expected};
}

constexpr MapElement all_types[] = {MapElement::u8,  MapElement::u16,  MapElement::u32,  MapElement::u64, MapElement::i32,
                                    MapElement::i64, MapElement::fp16, MapElement::bf16, MapElement::f32, MapElement::f64};
constexpr Swizzle all_swizzles[] = {Swizzle::none, Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128};

/// A box of eleven rows as wide as the swizzle's span.
TensorMapDescription swizzled_tensor(Swizzle swizzle, int rank) {
  const auto columns = static_cast<std::uint32_t>(swizzle == Swizzle::none ? 24 : span_bytes(swizzle) / 2);
  return tensor(MapElement::bf16, {70, 20, 4}, {columns, 11, rank == 3 ? 3u : 1u}, swizzle, rank);
}

/// Rows of one expert out of a matrix, zero fill after its last one: the row comes twice, as `y` counted from the end of what a
/// box holds and as `z`, and both have the same stride. See the ragged maps of the sm90 kernels.
TensorMapDescription ragged(std::uint64_t columns, std::uint32_t box_rows, std::uint64_t rows, Swizzle swizzle) {
  const std::uint64_t stride = columns * 2;
  return {.type = MapElement::bf16,
          .rank = 3,
          .address = 0 - box_rows * stride,
          .dims = {columns, box_rows, rows + box_rows + 1},
          .strides = {stride, stride},
          .box = {64, box_rows, 1},
          .swizzle = swizzle};
}

}  // namespace

InstructionFamily tma_load_family() {
  InstructionFamily family{.name = "tma_load", .file = "tma.cuh", .tests = {}};
  auto& tests = family.tests;
  for (const MapElement type : all_types) {
    const auto row = static_cast<std::uint32_t>(48 / element_bytes(type));
    const TensorMapDescription map = tensor(type, {row + 3, 9, 0}, {row, 4, 0});
    const int step = 16 / element_bytes(type);
    // From the first column; partly before the first row and column; partly after the last ones.
    for (const Coordinates& at : {Coordinates{0, 5, 0}, Coordinates{-step, -1, 0}, Coordinates{2 * step, 7, 0}})
      tests.push_back(load_test(map, at));
  }
  for (const Swizzle swizzle : all_swizzles) {
    for (const int rank : {2, 3}) {
      const TensorMapDescription map = swizzled_tensor(swizzle, rank);
      const int plane = rank - 2;
      tests.push_back(load_test(map, {0, 0, 0}));
      tests.push_back(load_test(map, {8, 3, plane}, {.policy = true}));
      tests.push_back(load_test(map, {-8, -4, -plane}, {.offset = 1024}));
      tests.push_back(load_test(map, {56, 15, 2 * plane}));
      // Begins in the middle of the pattern.
      tests.push_back(load_test(map, {16, 1, 0}, {.offset = 384}));
    }
  }
  // All outside, but over memory that is there.
  tests.push_back(load_test(swizzled_tensor(Swizzle::bytes128, 2), {72, 2, 0}));
  // One row to each line of a pattern, as a gather would.
  for (std::uint32_t row = 0; row < 8; ++row) {
    const TensorMapDescription map = tensor(MapElement::bf16, {70, 20, 0}, {64, 1, 0}, Swizzle::bytes128);
    tests.push_back(load_test(map, {0, static_cast<int>(row * 2), 0}, {.offset = row * 128}));
  }
  // 16 rows of an expert that begins at row 5 and has 16, 7 or one.
  for (const Swizzle swizzle : {Swizzle::none, Swizzle::bytes128}) {
    for (const int rows : {16, 7, 1}) tests.push_back(load_test(ragged(80, 16, 40, swizzle), {16, 16 - rows, 5 + rows}));
  }
  // Two parts of 64 columns of 16 rows below each other, also the last one and nothing behind it; of one plane of two.
  const TensorMapDescription parts{.type = MapElement::bf16,
                                   .rank = 4,
                                   .address = 64,
                                   .dims = {64, 20, 3, 2},
                                   .strides = {400, 128, 8016},
                                   .box = {64, 16, 2, 1},
                                   .swizzle = Swizzle::bytes128};
  for (const Coordinates& at : {Coordinates{0, 0, 0, 1}, Coordinates{0, 7, 1, 0}, Coordinates{0, 2, 2, 1}}) {
    tests.push_back(load_test(parts, at));
    tests.push_back(load_test(parts, at, {.offset = 1024, .policy = true}));
  }
  return family;
}

InstructionFamily tma_store_family() {
  InstructionFamily family{.name = "tma_store", .file = "tma.cuh", .tests = {}};
  auto& tests = family.tests;
  for (const MapElement type : all_types) {
    const auto row = static_cast<std::uint32_t>(48 / element_bytes(type));
    const TensorMapDescription map = tensor(type, {row + 3, 9, 0}, {row, 4, 0});
    const int step = 16 / element_bytes(type);
    for (const Coordinates& at : {Coordinates{0, 5, 0}, Coordinates{2 * step, 7, 0}}) tests.push_back(store_test(map, at));
  }
  for (const Swizzle swizzle : all_swizzles) {
    for (const int rank : {2, 3}) {
      const TensorMapDescription map = swizzled_tensor(swizzle, rank);
      const int plane = rank - 2;
      tests.push_back(store_test(map, {8, 3, plane}));
      tests.push_back(store_test(map, {0, 0, 0}, 1024));
      tests.push_back(store_test(map, {56, 15, 2 * plane}, 384));
    }
  }
  tests.push_back(store_test(swizzled_tensor(Swizzle::bytes128, 2), {72, 2, 0}));
  for (const int rows : {16, 7, 1}) tests.push_back(store_test(ragged(80, 16, 40, Swizzle::bytes128), {16, 16 - rows, 5 + rows}));
  for (const MapElement type : {MapElement::u32, MapElement::f32, MapElement::bf16, MapElement::fp16}) {
    const auto row = static_cast<std::uint32_t>(48 / element_bytes(type));
    const int step = 16 / element_bytes(type);
    tests.push_back(reduce_test(tensor(type, {row + 3, 9, 0}, {row, 4, 0}), {step, 7, 0}, 1));
    tests.push_back(reduce_test(tensor(type, {row + 3, 9, 5}, {row, 4, 2}, Swizzle::none, 3), {2 * step, 2, 4}, 2));
  }
  // Sums of two and more integers up to 100 stay exact in f32 alone.
  tests.push_back(reduce_test(tensor(MapElement::f32, {32, 9, 0}, {32, 8, 0}, Swizzle::bytes128), {0, 0, 0}, 5));

  const TensorMapDescription from = tensor(MapElement::bf16, {64, 40, 0}, {64, 8, 0}, Swizzle::bytes128);
  TensorMapDescription to = from;
  to.address = 128;
  to.strides[0] = 128;
  const Words input = random_words(tensor_words, 204);
  Words expected(tensor_words, poison);
  for (std::size_t row = 0; row < 40; ++row) {
    const std::size_t target = (4 - row / 8) * 8 + row % 8;
    std::memcpy(bytes_of(expected) + 128 + target * 128, bytes_of(input) + 64 + row * from.strides[0], 128);
  }
  for (const int stages : {1, 2, 3}) {
    tests.push_back({.name = fmt::format("in and out through {} stages", stages),
                     .kernel = fmt::format("through_shared<1024, {}, 5, 8>", stages),
                     .shared_bytes = static_cast<unsigned>(stages) * 1032,
                     .maps = {{MapOperand::Buffer::input, from}, {MapOperand::Buffer::output, to}},
                     .input = input,
                     .expected = expected});
  }
  return family;
}

}  // namespace moe_tune::test
