#include "runtime/io/convert_elements.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runtime/reference/half.hpp"
#include "runtime/reference/parallel_for.hpp"

namespace moe_tune {
namespace {

// One type of the memory, and how it becomes a float and comes from one.
struct Bf16 {
  using Bits = std::uint16_t;
  static float load(Bits bits) { return bf16_to_float(bits); }
  static Bits store(float value) { return float_to_bf16(value); }
};
struct Fp16 {
  using Bits = std::uint16_t;
  static float load(Bits bits) { return fp16_to_float(bits); }
  static Bits store(float value) { return float_to_fp16(value); }
};
struct Fp32 {
  using Bits = std::uint32_t;
  static float load(Bits bits) { return std::bit_cast<float>(bits); }
  static Bits store(float value) { return std::bit_cast<Bits>(value); }
};

// Tiles: reading columns of a row-major matrix touches as many cache lines as the tile has columns, and each of them once.
constexpr std::int64_t tile = 64;

constexpr std::int64_t nowhere = std::numeric_limits<std::int64_t>::max();

/// The least of all that threads come with.
void keep_least(std::atomic<std::int64_t>& least, std::int64_t value) {
  std::int64_t before = least;
  while (value < before && !least.compare_exchange_weak(before, value)) {
  }
}

template <class From, class To>
std::int64_t convert(const StridedMatrix& source, std::int64_t rows, std::int64_t columns, std::byte* target) {
  std::atomic<std::int64_t> overflow = nowhere;
  const auto convert_one = [&](std::int64_t row, std::int64_t column) {
    typename From::Bits from;
    std::memcpy(&from, source.data + (row * source.row_stride + column * source.column_stride) * std::int64_t{sizeof from},
                sizeof from);
    typename To::Bits to;
    if constexpr (std::is_same_v<From, To>) {
      to = from;
    } else {
      const float value = From::load(from);
      to = To::store(value);
      if (std::isfinite(value) && !std::isfinite(To::load(to))) keep_least(overflow, row * columns + column);
    }
    std::memcpy(target + (row * columns + column) * std::int64_t{sizeof to}, &to, sizeof to);
  };
  const std::int64_t bands = (rows + tile - 1) / tile;
  parallel_for(static_cast<int>(bands), 0, [&](int band) {
    const std::int64_t last_row = std::min(rows, (band + 1) * tile);
    for (std::int64_t first_column = 0; first_column < columns; first_column += tile) {
      const std::int64_t last_column = std::min(columns, first_column + tile);
      for (std::int64_t row = band * tile; row < last_row; ++row) {
        for (std::int64_t column = first_column; column < last_column; ++column) convert_one(row, column);
      }
    }
  });
  return overflow;
}

template <class From>
std::int64_t convert_from(const StridedMatrix& source, std::int64_t rows, std::int64_t columns, ElementType type,
                          std::byte* target) {
  if (type == ElementType::bf16) return convert<From, Bf16>(source, rows, columns, target);
  if (type == ElementType::fp16) return convert<From, Fp16>(source, rows, columns, target);
  return convert<From, Fp32>(source, rows, columns, target);
}

}  // namespace

std::optional<MatrixPlace> convert_elements(const StridedMatrix& source, std::int64_t rows, std::int64_t columns,
                                            ElementType type, std::byte* target) {
  std::int64_t overflow = nowhere;
  if (source.type == ElementType::bf16) {
    overflow = convert_from<Bf16>(source, rows, columns, type, target);
  } else if (source.type == ElementType::fp16) {
    overflow = convert_from<Fp16>(source, rows, columns, type, target);
  } else {
    overflow = convert_from<Fp32>(source, rows, columns, type, target);
  }
  if (overflow == nowhere) return std::nullopt;
  return MatrixPlace{overflow / columns, overflow % columns};
}

}  // namespace moe_tune
