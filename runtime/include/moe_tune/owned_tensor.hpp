// A tensor with memory of its own, on the host or on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "moe_tune/export.hpp"
#include "moe_tune/problem.hpp"

namespace moe_tune {

enum class TensorType { bf16, fp16, fp32, int32 };

MOE_TUNE_API std::string_view to_string(TensorType type);
constexpr int element_bytes(TensorType type) { return type == TensorType::bf16 || type == TensorType::fp16 ? 2 : 4; }
constexpr TensorType tensor_type(DType dtype) { return dtype == DType::bf16 ? TensorType::bf16 : TensorType::fp16; }

/// Of what GPUs compute with; throws UsageError for the others.
MOE_TUNE_API DType storage_dtype(TensorType type);

/// Instead of a CUDA ordinal: memory of the host, operations on the CPU.
inline constexpr int cpu_device = -1;

/// Contiguous, row-major. Memory is not initialised. Moving is cheap; a copy is made by to().
class MOE_TUNE_API OwnedTensor {
 public:
  /// No tensor: no data, no dimensions.
  OwnedTensor() = default;
  /// Throws UsageError for a negative dimension, EnvironmentError when there is not enough memory.
  OwnedTensor(TensorType type, std::vector<std::int64_t> shape, int device = cpu_device);

  TensorType type() const { return type_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t size(int dim) const { return shape_.at(static_cast<std::size_t>(dim)); }
  int device() const { return device_; }
  std::int64_t elements() const;
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * static_cast<std::size_t>(element_bytes(type_)); }
  /// An address of the host or of the device; null without elements.
  void* data() { return data_.get(); }
  const void* data() const { return data_.get(); }
  explicit operator bool() const { return !shape_.empty(); }

  /// Copies bytes of the host to or from the tensor, and waits. `offset` + `count` is within it.
  void write(const void* source, std::size_t count, std::size_t offset = 0);
  void read(void* target, std::size_t count, std::size_t offset = 0) const;
  /// A copy on another device or the host. Waits for it, and for what was enqueued on the default stream.
  OwnedTensor to(int device) const;
  /// The same elements under another shape, which has as many.
  OwnedTensor reshaped(std::vector<std::int64_t> shape) &&;

 private:
  TensorType type_ = TensorType::fp32;
  std::vector<std::int64_t> shape_;
  int device_ = cpu_device;
  std::shared_ptr<void> data_;
};

}  // namespace moe_tune
