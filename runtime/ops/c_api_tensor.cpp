#include "runtime/ops/c_api_tensor.hpp"

namespace moe_tune {

namespace {

std::string shape_text(const DLTensor& tensor) {
  return fmt::format("({})", fmt::join(tensor.shape, tensor.shape + tensor.ndim, ", "));
}

}  // namespace

std::string& last_error() {
  thread_local std::string text;
  return text;
}

Tensor::Tensor(const char* name, const DLTensor* tensor, int dims) : name_(name), tensor_(tensor) {
  if (tensor == nullptr) throw UsageError(fmt::format("{} is NULL", name));
  if (tensor->ndim != dims) throw UsageError(fmt::format("{} has {} dimensions, not {}", name, tensor->ndim, dims));
  if (tensor->shape == nullptr) throw UsageError(fmt::format("{} has no shape", name));
  if (std::any_of(tensor->shape, tensor->shape + dims, [](std::int64_t size) { return size < 0; })) {
    throw UsageError(fmt::format("{} has shape {}: no size may be negative", name, shape_text(*tensor)));
  }
  if (tensor->device.device_type != kDLCUDA) throw UsageError(fmt::format("{} is not on a CUDA device", name));
  if (tensor->strides != nullptr && size(dims - 1) > 1 && tensor->strides[dims - 1] != 1) {
    throw UsageError(fmt::format("{} has a last stride of {}, not 1", name, tensor->strides[dims - 1]));
  }
}

void Tensor::require_shape(std::initializer_list<std::int64_t> shape) const {
  if (!std::equal(shape.begin(), shape.end(), tensor_->shape, tensor_->shape + tensor_->ndim)) {
    throw UsageError(fmt::format("{} has shape {}, not ({})", name_, shape_text(*tensor_), fmt::join(shape, ", ")));
  }
}

void Tensor::require_device(int device) const {
  if (tensor_->device.device_id != device) {
    throw UsageError(fmt::format("{} is on device {}, not {}", name_, tensor_->device.device_id, device));
  }
}

void Tensor::require_contiguous() const {
  if (tensor_->strides == nullptr) return;
  std::int64_t expected = 1;
  for (int dim = tensor_->ndim - 1; dim >= 0; --dim) {
    if (size(dim) > 1 && tensor_->strides[dim] != expected) throw UsageError(fmt::format("{} is not contiguous", name_));
    expected *= size(dim);
  }
}

void Tensor::require_int32() const {
  if (!is(kDLInt, 32)) throw UsageError(fmt::format("{} is not int32", name_));
}

std::int64_t Tensor::stride(int dim) const {
  if (tensor_->strides == nullptr || size(dim) <= 1) return 0;
  if (tensor_->strides[dim] == 0) {
    throw UsageError(fmt::format("{} is expanded: dimension {} has a stride of 0; make it contiguous", name_, dim));
  }
  return tensor_->strides[dim];
}

DType Tensor::storage_type() const {
  if (is(kDLBfloat, 16)) return DType::bf16;
  if (is(kDLFloat, 16)) return DType::fp16;
  throw UsageError(fmt::format("{} is neither bfloat16 nor float16", name_));
}

IndexType Tensor::index_type() const {
  if (is(kDLInt, 32)) return IndexType::int32;
  if (is(kDLInt, 64)) return IndexType::int64;
  throw UsageError(fmt::format("{} is neither int32 nor int64", name_));
}

WeightType Tensor::weight_type(DType dtype, const char* dtype_of) const {
  if (is(kDLFloat, 32)) return WeightType::float32;
  if (storage_type() != dtype) throw UsageError(fmt::format("{} is neither float32 nor of {}'s dtype", name_, dtype_of));
  return WeightType::storage;
}

Tensor weights_by_slot(const char* name, const DLTensor* tensor, std::int64_t M, std::int64_t top_k) {
  const bool flat = tensor != nullptr && tensor->ndim == 1;
  const Tensor weights(name, tensor, flat ? 1 : 2);
  if (flat) {
    weights.require_shape({M});
  } else {
    weights.require_shape({M / top_k, top_k});
    if (weights.stride(0) != 0 && weights.stride(0) != top_k) throw UsageError(fmt::format("{} is not contiguous", name));
  }
  return weights;
}

TextTarget::TextTarget(char* text, std::size_t size) : text_(text), size_(size) {
  if (text == nullptr || size == 0) throw UsageError("text is NULL or of size 0");
}

void TextTarget::write(const Selection& selection) const {
  const std::string line = fmt::format("{} ({})", to_string(selection.config), selection.reason);
  const std::size_t length = std::min(line.size(), size_ - 1);
  std::memcpy(text_, line.data(), length);
  text_[length] = '\0';
}

}  // namespace moe_tune
