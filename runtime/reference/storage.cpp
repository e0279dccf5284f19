#include "runtime/reference/storage.hpp"

#include "runtime/reference/half.hpp"

namespace moe_tune {

Storage storage_of(DType dtype) { return dtype == DType::bf16 ? Storage::bf16 : Storage::fp16; }

double unit_roundoff(Storage storage) {
  switch (storage) {
    case Storage::float64:
      return 0x1p-53;
    case Storage::float32:
      return 0x1p-24;
    case Storage::bf16:
      return 0x1p-8;
    case Storage::fp16:
      break;
  }
  return 0x1p-11;
}

double round_to(Storage storage, double x) {
  switch (storage) {
    case Storage::float64:
      return x;
    case Storage::float32:
      return static_cast<float>(x);
    case Storage::bf16:
      return bf16_to_float(float_to_bf16(static_cast<float>(x)));
    case Storage::fp16:
      break;
  }
  return fp16_to_float(float_to_fp16(static_cast<float>(x)));
}

double TensorView::at(std::int64_t index) const {
  switch (storage) {
    case Storage::float64:
      return static_cast<const double*>(data)[index];
    case Storage::float32:
      return static_cast<const float*>(data)[index];
    case Storage::bf16:
      return bf16_to_float(static_cast<const std::uint16_t*>(data)[index]);
    case Storage::fp16:
      break;
  }
  return fp16_to_float(static_cast<const std::uint16_t*>(data)[index]);
}

std::vector<double> TensorView::values(std::int64_t first, std::int64_t count) const {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t index = first; index < first + count; ++index) values.push_back(at(index));
  return values;
}

}  // namespace moe_tune
