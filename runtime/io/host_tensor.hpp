// A named tensor in memory of the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/io/element_type.hpp"

namespace moe_tune {

/// Row-major, contiguous, little-endian. Of a file the bytes begin wherever its header ends: they may be misaligned.
struct HostTensor {
  std::string name;
  ElementType type = ElementType::fp32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// "[128, 768, 2048]"
std::string describe_shape(std::span<const std::int64_t> shape);

}  // namespace moe_tune
