#include "runtime/blocks/host_values.hpp"

#include <cstddef>

#include "runtime/blocks/copy_bytes.hpp"
#include "runtime/reference/half.hpp"

namespace moe_tune {

Storage storage_of(TensorType type) { return type == TensorType::fp32 ? Storage::float32 : storage_of(storage_dtype(type)); }

std::vector<double> host_values(const void* data, std::int64_t count, TensorType type, int device) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * static_cast<std::size_t>(element_bytes(type)));
  copy_bytes(bytes.data(), data, bytes.size(), device);
  return TensorView{bytes.data(), storage_of(type)}.values(0, count);
}

std::vector<double> host_values(const OwnedTensor& tensor) {
  return host_values(tensor.data(), tensor.elements(), tensor.type(), tensor.device());
}

std::vector<std::int32_t> host_integers(const OwnedTensor& tensor) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.elements()));
  tensor.read(values.data(), tensor.bytes());
  return values;
}

OwnedTensor tensor_of(TensorType type, const std::vector<double>& values, std::vector<std::int64_t> shape, int device) {
  OwnedTensor result(type, std::move(shape));
  if (type == TensorType::fp32) {
    std::transform(values.begin(), values.end(), static_cast<float*>(result.data()),
                   [](double value) { return static_cast<float>(value); });
  } else {
    std::transform(values.begin(), values.end(), static_cast<std::uint16_t*>(result.data()),
                   [dtype = storage_dtype(type)](double value) { return from_float(static_cast<float>(value), dtype); });
  }
  return device == cpu_device ? std::move(result) : result.to(device);
}

}  // namespace moe_tune
