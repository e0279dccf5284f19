// Numbers as tensors hold them, on their way into the float64 of a reference and out of it.
#pragma once

#include <cstdint>
#include <vector>

#include "moe_tune/problem.hpp"

namespace moe_tune {

/// What the elements of a tensor are. float64 is how a reference says "not rounded".
enum class Storage { float64, float32, bf16, fp16 };

Storage storage_of(DType dtype);

/// The largest |rounded - x| / |x| where x is a normal number of the storage.
double unit_roundoff(Storage storage);

/// `x` to the nearest number of the storage. For 16 bits by way of float32, as where sums are accumulated in float32 and rounded.
double round_to(Storage storage, double x);

/// A tensor on the host; nothing is owned.
struct TensorView {
  const void* data = nullptr;
  Storage storage = Storage::float64;

  double at(std::int64_t index) const;
  /// Elements [first, first + count).
  std::vector<double> values(std::int64_t first, std::int64_t count) const;
  /// Row `index` of a matrix.
  std::vector<double> row(std::int64_t index, int columns) const { return values(index * columns, columns); }
};

}  // namespace moe_tune
