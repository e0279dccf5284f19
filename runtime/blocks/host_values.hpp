// Numbers of tensors, wherever those lie, as vectors on the host, and back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "moe_tune/owned_tensor.hpp"
#include "runtime/reference/storage.hpp"

namespace moe_tune {

/// Throws UsageError for int32.
Storage storage_of(TensorType type);

/// `count` elements of `type` at an address of `device`. Waits for what was enqueued on the default stream.
std::vector<double> host_values(const void* data, std::int64_t count, TensorType type, int device);
std::vector<double> host_values(const OwnedTensor& tensor);
/// Of int32.
std::vector<std::int32_t> host_integers(const OwnedTensor& tensor);

/// A tensor of values rounded to `type`, on `device`.
OwnedTensor tensor_of(TensorType type, const std::vector<double>& values, std::vector<std::int64_t> shape,
                      int device = cpu_device);

/// A tensor of int32 on the host.
template <class Integer>
OwnedTensor tensor_of_integers(const std::vector<Integer>& values, std::vector<std::int64_t> shape) {
  OwnedTensor result(TensorType::int32, std::move(shape));
  std::transform(values.begin(), values.end(), static_cast<std::int32_t*>(result.data()),
                 [](Integer value) { return static_cast<std::int32_t>(value); });
  return result;
}

}  // namespace moe_tune
