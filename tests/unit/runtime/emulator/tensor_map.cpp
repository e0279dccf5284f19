#include "runtime/emulator/tensor_map.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "moe_tune/error.hpp"

using namespace moe_tune;
using namespace moe_tune::emulator;

namespace {

constexpr std::uint8_t poison = 0xa5;
constexpr std::uint64_t memory_base = 0x7f12'3400'0000;
constexpr Swizzle every_swizzle[] = {Swizzle::none, Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128};

/// Global memory: pseudo-random bytes from memory_base on.
struct Memory {
  explicit Memory(std::size_t size) : bytes(size) {
    std::mt19937 random(1);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  }
  std::uint8_t* at(std::uint64_t address, int count) {
    REQUIRE(address >= memory_base);
    REQUIRE(address + static_cast<std::uint64_t>(count) <= memory_base + bytes.size());
    return bytes.data() + (address - memory_base);
  }

  std::vector<std::uint8_t> bytes;
};

/// Shared memory after a load, and how often each byte was written.
struct Shared {
  explicit Shared(std::size_t size) : bytes(size, poison), writes(size) {}

  void load(const TensorMapDescription& map, std::span<const int> coordinates, std::uint32_t address, Memory& memory) {
    for_each_chunk(map, coordinates, address, [&](const BoxChunk& chunk) {
      REQUIRE(chunk.shared_address % chunk_bytes == 0);
      REQUIRE(chunk.shared_address + chunk_bytes <= bytes.size());
      REQUIRE((0 <= chunk.begin && chunk.begin <= chunk.end && chunk.end <= chunk_bytes));
      std::uint8_t* target = bytes.data() + chunk.shared_address;
      std::memset(target, 0, chunk_bytes);
      if (const int count = chunk.end - chunk.begin; count > 0)
        std::memcpy(target + chunk.begin, memory.at(chunk.global_address + static_cast<std::uint64_t>(chunk.begin), count),
                    count);
      for (int i = 0; i < chunk_bytes; ++i) ++writes[chunk.shared_address + i];
    });
  }

  std::vector<std::uint8_t> bytes;
  std::vector<int> writes;
};

/// The same swizzle in words: shared memory is lines of 8 chunks; chunk c of line l changes places with the one that differs from
/// it in the bits of l, within groups of 2, 4 or 8 chunks.
std::uint32_t place_of(std::uint32_t address, Swizzle swizzle) {
  const std::uint32_t group = swizzle == Swizzle::bytes128  ? 8
                              : swizzle == Swizzle::bytes64 ? 4
                              : swizzle == Swizzle::bytes32 ? 2
                                                            : 1;
  const std::uint32_t line = address / 128;
  const std::uint32_t chunk = address % 128 / 16;
  const std::uint32_t in_group = (chunk % group) ^ (line % group);
  return line * 128 + (chunk / group * group + in_group) * 16 + address % 16;
}

/// What a load must leave in shared memory, element by element.
std::vector<std::uint8_t> expected_load(const TensorMapDescription& map, const std::vector<int>& coordinates,
                                        std::uint32_t address, std::size_t shared_size, Memory& memory) {
  std::vector<std::uint8_t> shared(shared_size, poison);
  const std::uint32_t size = static_cast<std::uint32_t>(element_bytes(map.type));
  for (std::uint32_t element = 0; element < box_bytes(map) / size; ++element) {
    std::uint32_t rest = element;
    bool inside = true;
    __int128 from = map.address;
    for (int i = 0; i < map.rank; ++i) {
      const std::int64_t coordinate = coordinates[i] + static_cast<std::int64_t>(rest % map.box[i]);
      rest /= map.box[i];
      inside = inside && coordinate >= 0 && coordinate < static_cast<std::int64_t>(map.dims[i]);
      from += static_cast<__int128>(coordinate) * static_cast<std::int64_t>(i == 0 ? size : map.strides[i - 1]);
    }
    std::uint8_t* target = shared.data() + place_of(address + element * size, map.swizzle);
    if (inside) {
      std::memcpy(target, memory.at(static_cast<std::uint64_t>(from), static_cast<int>(size)), size);
    } else {
      std::memset(target, 0, size);
    }
  }
  return shared;
}

/// A contiguous tensor of bf16.
TensorMapDescription sample() {
  TensorMapDescription map;
  map.type = MapElement::bf16;
  map.rank = 2;
  map.address = memory_base;
  map.dims = {200, 40};
  map.strides = {400};
  map.box = {64, 16};
  map.swizzle = Swizzle::bytes128;
  return map;
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

std::string check_error(const std::function<void(TensorMapDescription&)>& change) {
  TensorMapDescription map = sample();
  change(map);
  return error_of([&] { check(map); });
}

bool mentions(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("tensor map: check names the broken rule") {
  CHECK(check_error([](auto&) {}) == "");
  CHECK(mentions(check_error([](auto& m) { m.rank = 0; }), "the rank is 0"));
  CHECK(mentions(check_error([](auto& m) { m.rank = 6; }), "the rank is 6"));
  CHECK(mentions(check_error([](auto& m) { m.address += 8; }), "address 0x7f1234000008 is not a multiple of 16"));
  CHECK(mentions(check_error([](auto& m) { m.dims[0] = 0; }), "dims[0] is 0"));
  CHECK(mentions(check_error([](auto& m) { m.dims[1] = (1ull << 32) + 1; }), "dims[1] is 4294967297"));
  CHECK(check_error([](auto& m) { m.dims[1] = 1ull << 32; }) == "");
  CHECK(mentions(check_error([](auto& m) { m.strides[0] = 408; }), "strides[0] is 408 bytes, not a multiple of 16"));
  CHECK(mentions(check_error([](auto& m) { m.strides[0] = 1ull << 40; }), "less than 2^40"));
  CHECK(check_error([](auto& m) { m.strides[0] = (1ull << 40) - 16; }) == "");
  CHECK(mentions(check_error([](auto& m) { m.box[1] = 0; }), "box[1] is 0"));
  CHECK(mentions(check_error([](auto& m) { m.box[1] = 257; }), "box[1] is 257"));
  CHECK(check_error([](auto& m) { m.box[1] = 256; }) == "");
  CHECK(mentions(check_error([](auto& m) { m.box[0] = 4; }), "has 8 bytes (box[0] = 4 elements of 2), not a multiple of 16"));
  CHECK(mentions(check_error([](auto& m) { m.box[0] = 72; }), "has 144 bytes; with the 128-byte swizzle"));
  CHECK(check_error([](auto& m) { m.box[0] = 72, m.swizzle = Swizzle::none; }) == "");
  CHECK(mentions(check_error([](auto& m) { m.swizzle = Swizzle::bytes64; }), "has 128 bytes; with the 64-byte swizzle"));
  CHECK(mentions(check_error([](auto& m) { m.swizzle = Swizzle::bytes32, m.box[0] = 24; }),
                 "has 48 bytes; with the 32-byte swizzle"));
  // What stands past the rank does not count.
  CHECK(check_error([](auto& m) { m.rank = 1, m.strides[0] = 3, m.box[1] = 0, m.dims[1] = 0; }) == "");
  CHECK(mentions(check_error([](auto& m) { m.rank = 3, m.dims[2] = 1, m.box[2] = 1, m.strides[1] = 7; }), "strides[1] is 7"));
}

TEST_CASE("tensor map: both encoders check first") {
  TensorMapDescription map = sample();
  map.box[1] = 0;
  CHECK(mentions(error_of([&] { encode_emulated(map); }), "box[1] is 0"));
  CHECK(mentions(error_of([&] { encode_tensor_map(map); }), "box[1] is 0"));
}

TEST_CASE("tensor map: a map of the emulated device round-trips; any other is recognised") {
  TensorMapDescription map = sample();
  map.rank = 5;
  map.dims = {64, 1, 1ull << 32, 7, 9};
  map.strides = {16, (1ull << 40) - 16, 4096, 0};
  map.box = {64, 256, 1, 2, 3};
  map.l2_promotion = L2Promotion::bytes256;
  const abi::TensorMap encoded = encode_emulated(map);
  CHECK(decode_emulated(encoded) == map);

  CHECK(mentions(error_of([] { decode_emulated(abi::TensorMap{}); }), "not a tensor map of the emulated device"));
  int accepted = 0;
  for (std::size_t byte = 0; byte < sizeof encoded; ++byte) {
    abi::TensorMap damaged = encoded;
    reinterpret_cast<unsigned char*>(&damaged)[byte] ^= 1;
    const std::string message = error_of([&] { decode_emulated(damaged); });
    accepted += !mentions(message, byte < 8 ? "not a tensor map" : "a damaged tensor map");
  }
  CHECK(accepted == 0);
}

TEST_CASE("tensor map: the emulator refuses a swizzled box narrower than the swizzle") {
  TensorMapDescription map = sample();
  map.box[0] = 32;
  CHECK(error_of([&] { check(map); }) == "");
  CHECK(mentions(error_of([&] { encode_emulated(map); }), "has 64 bytes; the emulator takes the 128-byte swizzle only"));
}

TEST_CASE("tensor map: problems of a copy") {
  const TensorMapDescription map = sample();
  CHECK(box_bytes(map) == 64 * 16 * 2);
  const int inside[] = {8, 3};
  const int before[] = {-16, -3};
  CHECK(copy_problem(map, inside, 1024, true) == "");
  CHECK(copy_problem(map, before, 1024 + 128, false) == "");
  CHECK(mentions(copy_problem(map, before, 1024, true), "begins below zero, at (-16, -3)"));
  const int too_many[] = {8, 3, 0};
  CHECK(mentions(copy_problem(map, too_many, 1024, false), "3 coordinates, the tensor map 2"));
  CHECK(mentions(copy_problem(map, inside, 1024 + 64, false), "0x440 is not a multiple of 128"));
  const int misaligned[] = {12, 3};
  CHECK(mentions(copy_problem(map, misaligned, 1024, false), "begins 12 elements of 2 bytes into a row"));
}

TEST_CASE("tensor map: the swizzle is its own inverse, and the one that the modes are named after") {
  for (const Swizzle swizzle : every_swizzle) {
    for (std::uint32_t address = 0; address < 8192; ++address) {
      if (swizzled(address, swizzle) != place_of(address, swizzle)) FAIL("address " << address);
      if (swizzled(swizzled(address, swizzle), swizzle) != address) FAIL("address " << address);
    }
  }
  // Second row of a 128-byte pattern: chunk 0 stands where chunk 1 would.
  CHECK(swizzled(0x480, Swizzle::bytes128) == 0x490);
  CHECK(swizzled(0x7f0, Swizzle::bytes128) == 0x780);
  CHECK(swizzled(0x1b0, Swizzle::bytes64) == 0x180);
  CHECK(swizzled(0x0b0, Swizzle::bytes32) == 0x0a0);
}

TEST_CASE("tensor map: random boxes, element by element") {
  std::mt19937 random(2);
  const auto pick = [&](int low, int high) { return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)); };
  constexpr MapElement types[] = {MapElement::u8, MapElement::bf16, MapElement::f32, MapElement::u64};
  int inside = 0, cut = 0, outside = 0;
  for (int round = 0; round < 400; ++round) {
    TensorMapDescription map;
    map.type = types[pick(0, 3)];
    map.rank = pick(1, 5);
    map.swizzle = every_swizzle[pick(0, 3)];
    map.address = memory_base + 16 * static_cast<std::uint64_t>(pick(0, 4));
    const int size = element_bytes(map.type);
    const int row_bytes = map.swizzle == Swizzle::none ? 16 * pick(1, 6) : span_bytes(map.swizzle);
    map.box[0] = static_cast<std::uint32_t>(row_bytes / size);
    map.dims[0] = static_cast<std::uint64_t>(pick(1, 120));
    std::uint64_t stride = (map.dims[0] * static_cast<std::uint64_t>(size) + 15) / 16 * 16;
    std::vector<int> coordinates = {pick(-static_cast<int>(map.box[0]), static_cast<int>(map.dims[0]) + 2)};
    for (int i = 1; i < map.rank; ++i) {
      map.dims[i] = static_cast<std::uint64_t>(pick(1, 6));
      map.box[i] = static_cast<std::uint32_t>(pick(1, 5));
      map.strides[i - 1] = stride;
      stride *= map.dims[i];
      coordinates.push_back(pick(-static_cast<int>(map.box[i]), static_cast<int>(map.dims[i])));
    }
    map = decode_emulated(encode_emulated(map));

    Memory memory(stride + 64);
    const std::uint32_t address = 128 * static_cast<std::uint32_t>(pick(0, 9));
    const std::size_t shared_size = (address + box_bytes(map) + 127) / 128 * 128;
    Shared shared(shared_size);
    shared.load(map, coordinates, address, memory);
    INFO("round " << round << ", rank " << map.rank);
    CHECK(shared.bytes == expected_load(map, coordinates, address, shared_size, memory));
    const auto written = std::count(shared.writes.begin(), shared.writes.end(), 1);
    CHECK(written == static_cast<std::ptrdiff_t>(box_bytes(map)));
    CHECK(*std::max_element(shared.writes.begin(), shared.writes.end()) == 1);
    for_each_chunk(map, coordinates, address, [&](const BoxChunk& chunk) {
      ++(chunk.end - chunk.begin == chunk_bytes ? inside : chunk.end == chunk.begin ? outside : cut);
    });
  }
  CHECK(std::min({inside, cut, outside}) > 100);  // the rounds met all three
}

TEST_CASE("tensor map: rows of the box one by one land where the whole box puts them") {
  TensorMapDescription whole = sample();
  TensorMapDescription row = whole;
  row.box[1] = 1;
  Memory memory(40 * 400);
  const std::uint32_t address = 1024;
  Shared at_once(4096), by_row(4096);
  at_once.load(whole, std::vector<int>{64, 5}, address, memory);
  for (int i = 0; i < 16; ++i)
    by_row.load(row, std::vector<int>{64, 5 + i}, address + 128 * static_cast<std::uint32_t>(i), memory);
  CHECK(at_once.bytes == by_row.bytes);
}

TEST_CASE("tensor map: ragged rows through overlapping dimensions") {
  // The last rows of an expert, by one static map: dims {inner, R, M + R + 1}, both outer strides the row's, base R rows before
  // the tensor; a box at {0, R - rows, first + rows} has `rows` rows from `first`, and zeros after them.
  constexpr int M = 50, R = 16, inner = 64;
  constexpr std::uint64_t row_bytes = 2 * inner;
  Memory memory(M * row_bytes);
  TensorMapDescription map;
  map.rank = 3;
  map.address = memory_base - R * row_bytes;
  map.dims = {inner, R, M + R + 1};
  map.strides = {row_bytes, row_bytes};
  map.box = {inner, R, 1};
  map.swizzle = Swizzle::bytes128;
  map = decode_emulated(encode_emulated(map));

  for (const int first : {0, 7, M - R, M - 1}) {
    for (int rows = 0; rows <= std::min(R, M - first); ++rows) {
      const std::vector<int> coordinates = {0, R - rows, first + rows};
      Shared shared(R * row_bytes);
      shared.load(map, coordinates, 0, memory);
      int wrong = 0;
      for (int row = 0; row < R; ++row) {
        for (std::uint64_t byte = 0; byte < row_bytes; ++byte) {
          const std::uint8_t expected = row < rows ? memory.bytes[static_cast<std::size_t>(first + row) * row_bytes + byte] : 0;
          wrong += shared.bytes[place_of(static_cast<std::uint32_t>(row * row_bytes + byte), map.swizzle)] != expected;
        }
      }
      INFO("first " << first << ", rows " << rows);
      CHECK(wrong == 0);
    }
  }
}
