#include "runtime/io/host_tensor.hpp"

#include <fmt/format.h>

namespace moe_tune {

std::string describe_shape(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

}  // namespace moe_tune
