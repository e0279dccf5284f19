#include "runtime/emulator/matrix_descriptor.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <vector>

#include "runtime/emulator/tensor_map.hpp"

using namespace moe_tune;
using namespace moe_tune::emulator;

namespace {

constexpr Swizzle every_swizzle[] = {Swizzle::none, Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128};

std::uint64_t encode(std::uint32_t address, std::uint32_t leading, std::uint32_t stride, Swizzle swizzle) {
  constexpr std::uint64_t modes[] = {0, 3, 2, 1};  // by Swizzle
  const auto field = [](std::uint32_t bytes) { return static_cast<std::uint64_t>((bytes & 0x3ffff) >> 4); };
  return field(address) | field(leading) << 16 | field(stride) << 32 | modes[static_cast<int>(swizzle)] << 62;
}

/// One dimension of a layout in the notation of the PTX ISA, e.g. (8,m):(8T,SBO): the index is split by the shape, innermost
/// first.
struct Mode {
  std::vector<std::uint32_t> shape;
  std::vector<std::uint32_t> stride;  ///< elements

  std::uint32_t operator()(std::uint32_t index) const {
    std::uint32_t offset = 0;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      offset += (i + 1 < shape.size() ? index % shape[i] : index) * stride[i];
      index /= shape[i];
    }
    return offset;
  }
};

struct Layout {
  Mode rows;
  Mode k;
};

/// The table of canonical layouts, for 16-bit elements: T = 8. Byte offsets are given in elements here. m and k of the table, the
/// number of repetitions, are what is left of the index.
Layout canonical(Major major, Swizzle swizzle, std::uint32_t LBO, std::uint32_t SBO) {
  constexpr std::uint32_t T = 8;
  constexpr std::uint32_t any = 1;
  if (major == Major::mn) {
    switch (swizzle) {
      case Swizzle::none:
        return {{{T, 1, any}, {1, T, SBO}}, {{8, any}, {1 * T, LBO}}};
      case Swizzle::bytes32:
        return {{{T, 2, any}, {1, T, LBO}}, {{8, any}, {2 * T, SBO}}};
      case Swizzle::bytes64:
        return {{{T, 4, any}, {1, T, LBO}}, {{8, any}, {4 * T, SBO}}};
      default:
        return {{{T, 8, any}, {1, T, LBO}}, {{8, any}, {8 * T, SBO}}};
    }
  }
  switch (swizzle) {
    case Swizzle::none:
      return {{{8, any}, {1 * T, SBO}}, {{T, any}, {1, LBO}}};
    case Swizzle::bytes32:
      return {{{8, any}, {2 * T, SBO}}, {{T, any}, {1, T}}};
    case Swizzle::bytes64:
      return {{{8, any}, {4 * T, SBO}}, {{T, any}, {1, T}}};
    default:
      return {{{8, any}, {8 * T, SBO}}, {{T, any}, {1, T}}};
  }
}

/// Swizzle<B, 4, 3> of CuTe on a byte address.
std::uint32_t cute_swizzle(std::uint32_t address, int bits) {
  const std::uint32_t mask = ((1u << bits) - 1) << 7;
  return address ^ ((address & mask) >> 3);
}

/// A shared memory into which boxes of a row-major bf16 matrix of `rows` x `columns` numbered elements are copied.
struct CopiedMatrix {
  CopiedMatrix(int row_count, int column_count) : columns(column_count), elements(static_cast<std::size_t>(row_count) * columns) {
    std::iota(elements.begin(), elements.end(), std::uint16_t{1});
    map.rank = 2;
    map.address = 0;
    map.dims = {static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(row_count)};
    map.strides = {2 * static_cast<std::uint64_t>(columns)};
  }

  void load(std::uint32_t box_columns, std::uint32_t box_rows, Swizzle swizzle, int column, int row, std::uint32_t address) {
    map.box = {box_columns, box_rows};
    map.swizzle = swizzle;
    check(map);
    for_each_chunk(map, std::vector<int>{column, row}, address, [&](const BoxChunk& chunk) {
      REQUIRE((chunk.begin == 0 && chunk.end == chunk_bytes));
      std::memcpy(&shared[chunk.shared_address / 2], &elements[chunk.global_address / 2], chunk_bytes);
    });
  }

  std::uint16_t at(int row, int column) const { return elements[static_cast<std::size_t>(row) * columns + column]; }

  int columns;
  std::vector<std::uint16_t> elements;
  std::vector<std::uint16_t> shared = std::vector<std::uint16_t>(64 * 1024);
  TensorMapDescription map;
};

}  // namespace

TEST_CASE("matrix descriptor: fields") {
  const MatrixDescriptor d = decode_matrix_descriptor(encode(0x3fc00, 8192, 1024, Swizzle::bytes128));
  CHECK(d.address == 0x3fc00);
  CHECK(d.leading == 8192);
  CHECK(d.stride == 1024);
  CHECK(d.swizzle == Swizzle::bytes128);
  for (const Swizzle swizzle : every_swizzle) CHECK(decode_matrix_descriptor(encode(1024, 16, 16, swizzle)).swizzle == swizzle);
  // The value that kernels use for a K-major operand with the 128-byte swizzle at address 0x400.
  CHECK(encode(0x400, 16, 1024, Swizzle::bytes128) == 0x4000'0040'0001'0040);
}

TEST_CASE("matrix descriptor: the canonical layouts of the PTX ISA") {
  for (const Major major : {Major::k, Major::mn}) {
    for (const Swizzle swizzle : every_swizzle) {
      const MatrixDescriptor d = decode_matrix_descriptor(encode(0x800, 0x5000, 0x900, swizzle));
      const Layout layout = canonical(major, swizzle, 0x5000 / 2, 0x900 / 2);
      int wrong = 0;
      for (std::uint32_t row = 0; row < 256; ++row) {
        for (std::uint32_t k = 0; k < 16; ++k) {
          const std::uint32_t expected = cute_swizzle(0x800 + 2 * (layout.rows(row) + layout.k(k)), static_cast<int>(swizzle));
          wrong += element_address(d, major, row, k) != expected;
        }
      }
      INFO("major " << static_cast<int>(major) << ", swizzle " << static_cast<int>(swizzle));
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("matrix descriptor: the examples of the PTX ISA for bf16") {
  struct Example {
    Swizzle swizzle;
    std::uint32_t leading, stride;  // elements
    Layout layout;
  };
  const Example examples[] = {
      {Swizzle::none, 128, 64, {{{8, 1, 2}, {1, 8, 64}}, {{8, 2}, {8, 128}}}},
      {Swizzle::bytes32, 128, 256, {{{8, 2, 2}, {1, 8, 128}}, {{8, 2}, {16, 256}}}},
      {Swizzle::bytes64, 256, 512, {{{8, 4, 2}, {1, 8, 256}}, {{8, 2}, {32, 512}}}},
  };
  for (const Example& example : examples) {
    const MatrixDescriptor d = decode_matrix_descriptor(encode(0, 2 * example.leading, 2 * example.stride, example.swizzle));
    const std::uint32_t rows = example.layout.rows.shape[1] * 16;
    for (std::uint32_t row = 0; row < rows; ++row) {
      for (std::uint32_t k = 0; k < 16; ++k) {
        CHECK(element_address(d, Major::mn, row, k) ==
              cute_swizzle(2 * (example.layout.rows(row) + example.layout.k(k)), static_cast<int>(example.swizzle)));
      }
    }
  }
}

TEST_CASE("matrix descriptor: a K-major operand that tensor-map copies wrote, 16 k at a time") {
  constexpr int rows = 192;
  for (const Swizzle swizzle : {Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128}) {
    const std::uint32_t span = static_cast<std::uint32_t>(span_bytes(swizzle));
    CopiedMatrix matrix(rows + 8, 128);
    matrix.load(span / 2, rows, swizzle, 32, 8, 3072);
    for (int k = 0; k < static_cast<int>(span) / 2; k += 16) {
      const std::uint64_t bits = encode(3072 + 2 * static_cast<std::uint32_t>(k), 16, 8 * span, swizzle);
      CHECK(descriptor_problem(bits, Major::k) == "");
      const MatrixDescriptor d = decode_matrix_descriptor(bits);
      std::vector<float> operand(rows * mma_k, -1.0f);
      read_operand<DType::bf16>(
          d, Major::k, rows, [&](std::uint32_t address) { return &matrix.shared[address / 2]; }, operand.data());
      int wrong = 0;
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < 16; ++i) {
          const std::uint16_t expected = matrix.at(8 + row, 32 + k + i);
          wrong += matrix.shared[element_address(d, Major::k, row, i) / 2] != expected;
          wrong += operand[i * rows + row] != bf16_to_float(expected);
        }
      }
      INFO("span " << span << ", k " << k);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("matrix descriptor: an MN-major operand that tensor-map copies wrote, 16 k at a time") {
  constexpr int depth = 64;
  constexpr int rows = 192;
  for (const Swizzle swizzle : {Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128}) {
    const std::uint32_t span = static_cast<std::uint32_t>(span_bytes(swizzle));
    const std::uint32_t atom_bytes = depth * span;
    CopiedMatrix matrix(depth + 8, rows + 32);  // a row of memory is one k
    for (int atom = 0; atom < rows / static_cast<int>(span / 2); ++atom)
      matrix.load(span / 2, depth, swizzle, 32 + atom * static_cast<int>(span / 2), 8,
                  1024 + static_cast<std::uint32_t>(atom) * atom_bytes);
    for (int k = 0; k < depth; k += 16) {
      const std::uint64_t bits = encode(1024 + static_cast<std::uint32_t>(k) * span, atom_bytes, 8 * span, swizzle);
      CHECK(descriptor_problem(bits, Major::mn) == "");
      std::vector<float> operand(rows * mma_k, -1.0f);
      read_operand<DType::fp16>(
          decode_matrix_descriptor(bits), Major::mn, rows, [&](std::uint32_t address) { return &matrix.shared[address / 2]; },
          operand.data());
      int wrong = 0;
      for (int row = 0; row < rows; ++row) {
        for (int i = 0; i < 16; ++i) wrong += operand[i * rows + row] != fp16_to_float(matrix.at(8 + k + i, 32 + row));
      }
      INFO("span " << span << ", k " << k);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("matrix descriptor: operands of 8x8 core matrices, without a swizzle") {
  // Core matrices are 128 contiguous bytes, a row of 8 elements after the other: along k (K-major) or along the rows (MN-major).
  constexpr std::uint32_t base = 256, between_rows = 128, between_k = 4096;
  constexpr int rows = 128;
  for (const Major major : {Major::k, Major::mn}) {
    std::vector<std::uint16_t> shared(8192);
    const auto element = [](int row, int k) { return static_cast<std::uint16_t>(1 + 16 * row + k); };
    for (int row = 0; row < rows; ++row) {
      for (int k = 0; k < 16; ++k) {
        const std::uint32_t core =
            base + static_cast<std::uint32_t>(row / 8) * between_rows + static_cast<std::uint32_t>(k / 8) * between_k;
        const int inside = major == Major::k ? row % 8 * 8 + k % 8 : k % 8 * 8 + row % 8;
        shared[core / 2 + static_cast<std::uint32_t>(inside)] = element(row, k);
      }
    }
    const std::uint64_t bits = encode(base, between_k, between_rows, Swizzle::none);
    CHECK(descriptor_problem(bits, major) == "");
    std::vector<float> operand(rows * mma_k, -1.0f);
    read_operand<DType::bf16>(
        decode_matrix_descriptor(bits), major, rows, [&](std::uint32_t address) { return &shared[address / 2]; }, operand.data());
    int wrong = 0;
    for (int row = 0; row < rows; ++row) {
      for (int k = 0; k < 16; ++k) wrong += operand[k * rows + row] != bf16_to_float(element(row, k));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("matrix descriptor: problems") {
  const auto problem = [](std::uint64_t bits, Major major = Major::k) { return descriptor_problem(bits, major); };
  const auto mentions = [](const std::string& message, const char* part) { return message.find(part) != std::string::npos; };
  const std::uint64_t good = encode(2048, 16, 1024, Swizzle::bytes128);
  CHECK(problem(good) == "");
  for (int bit = 0; bit < 64; ++bit) {
    const bool reserved =
        bit == 14 || bit == 15 || bit == 30 || bit == 31 || (bit >= 46 && bit <= 48) || (bit >= 52 && bit <= 61);
    INFO("bit " << bit);
    CHECK(mentions(problem(good | std::uint64_t{1} << bit), "must be zero") == reserved);
    if (bit >= 49 && bit <= 51) CHECK(mentions(problem(good | std::uint64_t{1} << bit), "base offset"));
  }
  // A K-major operand may begin at a k16 step of its span, an MN-major one at the span alone.
  CHECK(problem(encode(2048 + 96, 16, 1024, Swizzle::bytes128)) == "");
  CHECK(mentions(problem(encode(2048 + 96, 16, 1024, Swizzle::bytes128), Major::mn), "in the middle of a span"));
  CHECK(mentions(problem(encode(2048 + 16, 16, 1024, Swizzle::bytes128)), "in the middle of a span"));
  CHECK(mentions(problem(encode(2048 + 128, 16, 1024, Swizzle::bytes128)), "not in the first 128 bytes of a 1024-byte pattern"));
  CHECK(problem(encode(2048 + 512, 16, 512, Swizzle::bytes64)) == "");
  CHECK(mentions(problem(encode(2048 + 64, 16, 512, Swizzle::bytes64)), "512-byte pattern"));
  CHECK(problem(encode(2048 + 256, 16, 256, Swizzle::bytes32)) == "");
  CHECK(mentions(problem(encode(2048 + 32, 16, 256, Swizzle::bytes32)), "256-byte pattern"));
  CHECK(problem(encode(16, 16, 256, Swizzle::none)) == "");
}
