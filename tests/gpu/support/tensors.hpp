// Tensors of GPU tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/launch/device_memory.hpp"
#include "tests/gpu/support/gpu.hpp"

namespace moe_tune::test {

/// `values` as int32 or int64 on the device; one element at least, so that there is an address.
inline DeviceBuffer upload_integers(const std::vector<std::int64_t>& values, bool as_64) {
  const std::vector<std::int32_t> narrow_values(values.begin(), values.end());
  if (values.empty()) return DeviceBuffer(8);
  return as_64 ? upload(std::span<const std::int64_t>(values)) : upload(std::span<const std::int32_t>(narrow_values));
}

/// Normal values on the device, of which there may be none.
inline DeviceBuffer random_tensor(std::int64_t elements, DType dtype, float scale, std::uint32_t seed) {
  DeviceBuffer buffer(static_cast<std::size_t>(std::max<std::int64_t>(elements, 8)) * 2);
  Gpu::get().utilities().fill_random(buffer.address(), elements, dtype, scale, seed, nullptr);
  return buffer;
}

}  // namespace moe_tune::test
