#include "runtime/ops/argument_checks.hpp"

#include <fmt/format.h>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {

namespace {

/// Kernels tell missing rows of x by addresses below this; the driver gives out none there.
constexpr std::uintptr_t lowest_address = std::uintptr_t{1} << 32;

}  // namespace

void ArgumentChecks::pointer(std::string_view name, const void* pointer, std::int64_t aligned_to, bool needed,
                             std::string_view when) const {
  if (needed && pointer == nullptr) throw UsageError(fmt::format("{}: {} is null{}", operation_, name, when));
  if (reinterpret_cast<std::uintptr_t>(pointer) % static_cast<std::uintptr_t>(aligned_to) != 0) {
    throw UsageError(fmt::format("{}: {} is not {}-byte aligned", operation_, name, aligned_to));
  }
  if (needed && reinterpret_cast<std::uintptr_t>(pointer) < lowest_address) {
    throw UsageError(fmt::format("{}: {} = {} is no address of device memory", operation_, name, pointer));
  }
}

int ArgumentChecks::row_bytes(std::string_view name, std::int64_t stride, std::int64_t length, int element) const {
  if (stride == 0) stride = length;
  if (stride < length)
    throw UsageError(fmt::format("{}: {} row stride {} is less than the row's {} elements", operation_, name, stride, length));
  const std::int64_t bytes = checked_mul(stride, element, "row stride in bytes");
  if (bytes % tensor_alignment != 0) {
    throw UsageError(fmt::format("{}: {} row stride {} is not a multiple of {} elements", operation_, name, stride,
                                 tensor_alignment / element));
  }
  return narrow<int>(bytes, fmt::format("{}: {} row stride in bytes", operation_, name));
}

}  // namespace moe_tune
