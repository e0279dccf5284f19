// What the functions of the C API share: tensors of the caller, structs that grow, exceptions as result codes.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <string>

#include "moe_tune/grouped_gemm.hpp"
#include "moe_tune/moe_tune.h"

namespace moe_tune {

/// What went wrong in this thread's last failing call.
std::string& last_error();

template <class Body>
int guarded(const Body& body) {
  try {
    body();
    return MOE_TUNE_OK;
  } catch (const UsageError& error) {
    last_error() = error.what();
    return MOE_TUNE_USAGE_ERROR;
  } catch (const EnvironmentError& error) {
    last_error() = error.what();
    return MOE_TUNE_ENVIRONMENT_ERROR;
  } catch (const std::exception& error) {
    last_error() = error.what();
    return MOE_TUNE_INTERNAL_ERROR;
  }
}

/// A tensor of a call under its name, with what must hold for it. Throws UsageError where it does not.
class Tensor {
 public:
  Tensor(const char* name, const DLTensor* tensor, int dims);

  std::int64_t size(int dim) const { return tensor_->shape[dim]; }
  void require_shape(std::initializer_list<std::int64_t> shape) const;
  void require_device(int device) const;
  void require_contiguous() const;
  void require_int32() const;
  int device() const { return tensor_->device.device_id; }
  void* data() const { return static_cast<char*>(tensor_->data) + tensor_->byte_offset; }
  /// In elements; 0, contiguous, where the tensor has at most one row.
  std::int64_t stride(int dim) const;
  std::size_t bytes() const { return static_cast<std::size_t>(size(0)) * tensor_->dtype.bits * tensor_->dtype.lanes / 8; }

  bool is(DLDataTypeCode code, int bits) const {
    return tensor_->dtype.code == code && tensor_->dtype.bits == bits && tensor_->dtype.lanes == 1;
  }
  DType storage_type() const;
  IndexType index_type() const;
  /// Of routing weights: float32, or `dtype`, which is that of the tensor named `dtype_of`.
  WeightType weight_type(DType dtype, const char* dtype_of) const;

 private:
  const char* name_;
  const DLTensor* tensor_;
};

/// A contiguous tensor by slot, (M) or (M / top_k, top_k).
Tensor weights_by_slot(const char* name, const DLTensor* tensor, std::int64_t M, std::int64_t top_k);

/// Where a caller wants a text of at most `size` bytes with its terminator.
class TextTarget {
 public:
  /// Throws UsageError for no place at all.
  TextTarget(char* text, std::size_t size);
  /// Which config serves, and why, as one line; what does not fit is cut off.
  void write(const Selection& selection) const;

 private:
  char* text_;
  std::size_t size_;
};

/// The caller's struct in today's size: what is missing of it is 0, what is new to this library is left out.
template <class Struct>
Struct widened(const Struct& given) {
  Struct whole{};
  std::memcpy(&whole, &given, std::min<std::size_t>(given.struct_size, sizeof whole));
  return whole;
}

/// The caller's arguments in today's size. `first_size` is that of the struct as first published.
template <class Args>
Args checked_args(const Args* given, std::size_t first_size, const char* type) {
  if (given == nullptr) throw UsageError("args is NULL");
  if (given->struct_size < first_size) {
    throw UsageError(
        fmt::format("args->struct_size is {}, less than {}: set it to sizeof({})", given->struct_size, first_size, type));
  }
  return widened(*given);
}

}  // namespace moe_tune
