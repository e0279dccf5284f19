#include "moe_tune/owned_tensor.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "generator/support/checked.hpp"
#include "moe_tune/error.hpp"
#include "runtime/blocks/copy_bytes.hpp"
#include "runtime/jit/device.hpp"
#include "runtime/launch/device_memory.hpp"

namespace moe_tune {

namespace {

/// Memory of a device with the context that it goes in.
struct DeviceBlock {
  PrimaryContext context;
  DeviceBuffer buffer;

  explicit DeviceBlock(int ordinal) : context(ordinal) {}
  ~DeviceBlock() {
    const CurrentContext current(context.get());
    buffer = DeviceBuffer();
  }
};

std::shared_ptr<void> allocate_on_host(std::size_t bytes) {
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw EnvironmentError(fmt::format("the host has no room for a tensor of {} bytes", bytes));
  return {memory, std::free};
}

std::shared_ptr<void> allocate_on_device(std::size_t bytes, int ordinal) {
  const auto block = std::make_shared<DeviceBlock>(ordinal);
  const CurrentContext current(block->context.get());
  block->buffer = DeviceBuffer(bytes);
  return {block, block->buffer.get()};
}

}  // namespace

std::string_view to_string(TensorType type) {
  switch (type) {
    case TensorType::bf16:
      return "bf16";
    case TensorType::fp16:
      return "fp16";
    case TensorType::fp32:
      return "fp32";
    case TensorType::int32:
      return "int32";
  }
  throw UsageError(fmt::format("tensor type {} has no name", static_cast<int>(type)));
}

DType storage_dtype(TensorType type) {
  if (type == TensorType::bf16) return DType::bf16;
  if (type == TensorType::fp16) return DType::fp16;
  throw UsageError(fmt::format("a block of type {} runs on the CPU only: on a GPU ask for bf16 or fp16", to_string(type)));
}

OwnedTensor::OwnedTensor(TensorType type, std::vector<std::int64_t> shape, int device)
    : type_(type), shape_(std::move(shape)), device_(device) {
  std::int64_t count = element_bytes(type);
  for (const std::int64_t size : shape_) {
    if (size < 0) throw UsageError(fmt::format("a tensor's dimension is {}", size));
    count = checked_mul(count, size, "bytes of a tensor");
  }
  if (count == 0) return;
  const auto size = static_cast<std::size_t>(count);
  data_ = device == cpu_device ? allocate_on_host(size) : allocate_on_device(size, device);
}

std::int64_t OwnedTensor::elements() const {
  if (shape_.empty()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t size : shape_) count *= size;
  return count;
}

void OwnedTensor::write(const void* source, std::size_t count, std::size_t offset) {
  copy_bytes(static_cast<std::byte*>(data()) + offset, source, count, device_);
}

void OwnedTensor::read(void* target, std::size_t count, std::size_t offset) const {
  copy_bytes(target, static_cast<const std::byte*>(data()) + offset, count, device_);
}

OwnedTensor OwnedTensor::to(int device) const {
  OwnedTensor copy(type_, shape_, device);
  copy_bytes(copy.data(), data(), bytes(), device_ == cpu_device ? device : device_);
  return copy;
}

OwnedTensor OwnedTensor::reshaped(std::vector<std::int64_t> shape) && {
  const std::int64_t before = elements();
  OwnedTensor result = std::move(*this);
  result.shape_ = std::move(shape);
  if (result.elements() != before) {
    throw UsageError(fmt::format("a tensor of {} elements cannot have a shape of {}", before, result.elements()));
  }
  return result;
}

}  // namespace moe_tune
