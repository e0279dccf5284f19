// The C API over the C++ one: DLTensor to pointers and strides, exceptions to result codes.
#include "moe_tune/moe_tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <tuple>

#include "moe_tune/grouped_gemm.hpp"

namespace {

using namespace moe_tune;

thread_local std::string last_error;

template <class Body>
int guarded(const Body& body) {
  try {
    body();
    return MOE_TUNE_OK;
  } catch (const UsageError& error) {
    last_error = error.what();
    return MOE_TUNE_USAGE_ERROR;
  } catch (const EnvironmentError& error) {
    last_error = error.what();
    return MOE_TUNE_ENVIRONMENT_ERROR;
  } catch (const std::exception& error) {
    last_error = error.what();
    return MOE_TUNE_INTERNAL_ERROR;
  }
}

std::string shape_text(const DLTensor& tensor) {
  return fmt::format("({})", fmt::join(tensor.shape, tensor.shape + tensor.ndim, ", "));
}

/// A tensor of the call under its name, with what must hold for it.
class Tensor {
 public:
  Tensor(const char* name, const DLTensor* tensor, int dims) : name_(name), tensor_(tensor) {
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

  std::int64_t size(int dim) const { return tensor_->shape[dim]; }
  void require_shape(std::initializer_list<std::int64_t> shape) const {
    if (!std::equal(shape.begin(), shape.end(), tensor_->shape, tensor_->shape + tensor_->ndim)) {
      throw UsageError(fmt::format("{} has shape {}, not ({})", name_, shape_text(*tensor_), fmt::join(shape, ", ")));
    }
  }
  void require_device(int device) const {
    if (tensor_->device.device_id != device) {
      throw UsageError(fmt::format("{} is on device {}, x on {}", name_, tensor_->device.device_id, device));
    }
  }
  int device() const { return tensor_->device.device_id; }
  void* data() const { return static_cast<char*>(tensor_->data) + tensor_->byte_offset; }
  /// In elements; 0, contiguous, where the tensor has at most one row.
  std::int64_t stride(int dim) const {
    if (tensor_->strides == nullptr || size(dim) <= 1) return 0;
    if (tensor_->strides[dim] == 0) {
      throw UsageError(fmt::format("{} is expanded: dimension {} has a stride of 0; make it contiguous", name_, dim));
    }
    return tensor_->strides[dim];
  }
  std::size_t bytes() const { return static_cast<std::size_t>(size(0)) * tensor_->dtype.bits * tensor_->dtype.lanes / 8; }
  bool is(DLDataTypeCode code, int bits) const {
    return tensor_->dtype.code == code && tensor_->dtype.bits == bits && tensor_->dtype.lanes == 1;
  }

  DType storage_type() const {
    if (is(kDLBfloat, 16)) return DType::bf16;
    if (is(kDLFloat, 16)) return DType::fp16;
    throw UsageError(fmt::format("{} is neither bfloat16 nor float16", name_));
  }
  IndexType index_type() const {
    if (is(kDLInt, 32)) return IndexType::int32;
    if (is(kDLInt, 64)) return IndexType::int64;
    throw UsageError(fmt::format("{} is neither int32 nor int64", name_));
  }

 private:
  const char* name_;
  const DLTensor* tensor_;
};

/// A call in the terms of the C++ API.
struct Call {
  Problem problem;
  int device = 0;
  std::optional<KernelConfigForward> config;
  GroupedGemmForwardArgs args;
};

// The sizes of the structs as first published: what a caller must give at least, also once fields have been added.
constexpr std::size_t first_config_size = 36;
constexpr std::size_t first_args_size = 88;
static_assert(offsetof(moe_tune_config_forward, family) == first_config_size &&
              offsetof(moe_tune_forward_args, pre_activation) == first_args_size);

/// The caller's struct in today's size: what is missing of it is 0, what is new to this library is left out.
template <class Struct>
Struct widened(const Struct& given) {
  Struct whole{};
  std::memcpy(&whole, &given, std::min<std::size_t>(given.struct_size, sizeof whole));
  return whole;
}

template <class Enum>
Enum enum_of(const char* name, int value, Enum last) {
  if (value < 0 || value > static_cast<int>(last)) throw UsageError(fmt::format("config->{} = {} is out of range", name, value));
  return static_cast<Enum>(value);
}

KernelConfigForward convert(const moe_tune_config_forward& given) {
  if (given.struct_size < first_config_size) {
    throw UsageError(fmt::format("config->struct_size is {}, less than {}: set it to sizeof(moe_tune_config_forward)",
                                 given.struct_size, first_config_size));
  }
  const auto c = widened(given);
  KernelConfigForward config;
  config.family = enum_of("family", c.family, Family::sm90);
  config.BLOCK_M = c.BLOCK_M;
  config.BLOCK_N = c.BLOCK_N;
  config.BLOCK_K = c.BLOCK_K;
  config.warps = c.warps;
  config.warps_m = c.warps_m;
  if (c.warps_m == 0) config.warps_m = config.family == Family::sm80 ? default_warps_m(c.BLOCK_M, c.BLOCK_N, c.warps) : 1;
  config.stages = c.stages;
  config.ctas_per_sm = c.ctas_per_sm;
  config.tile_order = c.n_fastest != 0 ? TileOrder::n_fastest : TileOrder::m_fastest;
  config.mma_m = enum_of("weights_m", c.weights_m, MmaM::weights);
  config.schedule = enum_of("ping_pong", c.ping_pong, Schedule::ping_pong);
  config.cluster = c.cluster == 0 ? 1 : c.cluster;
  config.tile_source = enum_of("queue", c.queue, TileSource::queue);
  config.gather = enum_of("gather", c.gather, Gather::copy_ahead);
  return config;
}

/// A dimension that is compiled into a kernel.
int dimension(const char* what, std::int64_t value) {
  if (value > INT32_MAX) throw UsageError(fmt::format("{} = {} is out of range", what, value));
  return static_cast<int>(value);
}

Call convert(const moe_tune_forward_args* given) {
  if (given == nullptr) throw UsageError("args is NULL");
  if (given->struct_size < first_args_size) {
    throw UsageError(fmt::format("args->struct_size is {}, less than {}: set it to sizeof(moe_tune_forward_args)",
                                 given->struct_size, first_args_size));
  }
  const auto whole = widened(*given);
  const moe_tune_forward_args* a = &whole;
  if (a->gemm != MOE_TUNE_GATE_UP && a->gemm != MOE_TUNE_DOWN)
    throw UsageError(fmt::format("gemm = {} is no moe_tune_gemm", a->gemm));
  const Tensor x("x", a->x, 2);
  const Tensor w("w", a->w, 3);
  const Tensor y("y", a->y, 2);
  const Tensor m_sizes("m_sizes", a->m_sizes, 1);

  Call call;
  Problem& p = call.problem;
  p.gemm = a->gemm == MOE_TUNE_GATE_UP ? Gemm::gate_up : Gemm::down;
  p.dtype = x.storage_type();
  p.E = dimension("E", w.size(0));
  p.N = dimension("N", w.size(1));
  p.K = dimension("K", w.size(2));
  p.top_k = a->top_k;
  p.permute_x = a->permute_x != 0;
  p.permute_y = a->permute_y != 0;
  p.fuse_mul_post = a->fuse_mul_post != 0;
  p.fuse_mul_pre = a->fuse_mul_pre != 0;
  p.fuse_swiglu = a->fuse_swiglu != 0;
  p.keep_pre_activation = a->pre_activation != nullptr;
  validate(p);
  if (w.storage_type() != p.dtype || y.storage_type() != p.dtype) throw UsageError("x, w and y have different dtypes");

  const std::int64_t M = y.size(0);
  if (M % p.top_k != 0) throw UsageError(fmt::format("y has {} rows, not a multiple of top_k = {}", M, p.top_k));
  const std::int64_t tokens = M / p.top_k;
  x.require_shape({p.permute_x ? tokens : M, p.K});
  y.require_shape({M, output_columns(p)});
  m_sizes.require_shape({p.E});

  GroupedGemmForwardArgs& args = call.args;
  args.tokens = tokens;
  args.x = x.data();
  args.w = w.data();
  args.y = y.data();
  args.m_sizes = m_sizes.data();
  args.m_sizes_type = m_sizes.index_type();
  args.x_row_stride = x.stride(0);
  args.w_row_stride = w.stride(1);
  args.w_expert_stride = w.stride(0);
  args.y_row_stride = y.stride(0);
  args.max_sms = a->max_sms;
  call.device = x.device();
  for (const Tensor* tensor : {&w, &y, &m_sizes}) tensor->require_device(call.device);
  if (p.permute_x || p.permute_y) {
    const Tensor indices("gather_indices", a->gather_indices, 1);
    indices.require_shape({M});
    indices.require_device(call.device);
    args.gather_indices = indices.data();
    args.gather_indices_type = indices.index_type();
  }
  if (p.fuse_mul_post || p.fuse_mul_pre) {
    const bool flat = a->topk_weights != nullptr && a->topk_weights->ndim == 1;
    const Tensor weights("topk_weights", a->topk_weights, flat ? 1 : 2);
    if (flat) {
      weights.require_shape({M});
    } else {
      weights.require_shape({tokens, p.top_k});
      if (weights.stride(0) != 0 && weights.stride(0) != p.top_k) throw UsageError("topk_weights is not contiguous");
    }
    weights.require_device(call.device);
    args.topk_weights = weights.data();
    args.topk_weights_type = weights.is(kDLFloat, 32) ? WeightType::float32 : WeightType::storage;
    if (args.topk_weights_type == WeightType::storage && weights.storage_type() != p.dtype) {
      throw UsageError("topk_weights is neither float32 nor of x's dtype");
    }
  }
  if (p.keep_pre_activation) {
    const Tensor kept("pre_activation", a->pre_activation, 2);
    if (kept.storage_type() != p.dtype) throw UsageError("pre_activation is not of x's dtype");
    kept.require_shape({M, p.N});
    kept.require_device(call.device);
    args.pre_activation = kept.data();
    args.pre_activation_row_stride = kept.stride(0);
  }
  if (a->workspace != nullptr) {
    const Tensor workspace("workspace", a->workspace, 1);
    workspace.require_device(call.device);
    args.workspace = workspace.data();
    args.workspace_bytes = workspace.bytes();
  }
  if (a->config != nullptr) call.config = convert(*a->config);
  return call;
}

/// The operations that calls have asked for so far.
class Operations {
 public:
  GroupedGemmForward& find(const Call& call) {
    const Key key{call.problem, call.device, call.config};
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = operations_.find(key); found != operations_.end()) return found->second;
    }
    const std::unique_lock lock(mutex_);
    const auto found = operations_.find(key);
    if (found != operations_.end()) return found->second;
    return operations_.emplace(key, GroupedGemmForward(Library::instance(), call.problem, call.device, call.config))
        .first->second;
  }

 private:
  using Key = std::tuple<Problem, int, std::optional<KernelConfigForward>>;
  std::shared_mutex mutex_;
  std::map<Key, GroupedGemmForward> operations_;
};

Operations& operations() {
  // Never destroyed, like the library that they use.
  static Operations& all = *new Operations();
  return all;
}

}  // namespace

int moe_tune_grouped_gemm_forward(const moe_tune_forward_args* args, void* stream) {
  return guarded([&] {
    const Call call = convert(args);
    operations().find(call).run(call.args, static_cast<CUstream_st*>(stream));
  });
}

int moe_tune_prepare_forward(const moe_tune_forward_args* args, const int64_t* tokens, size_t count) {
  return guarded([&] {
    if (tokens == nullptr && count > 0) throw UsageError("tokens is NULL");
    const Call call = convert(args);
    operations().find(call).prepare({tokens, count}, call.args.w_row_stride);
  });
}

int moe_tune_workspace_bytes_forward(const moe_tune_forward_args* args, int64_t tokens, size_t* bytes) {
  return guarded([&] {
    if (bytes == nullptr) throw UsageError("bytes is NULL");
    *bytes = operations().find(convert(args)).workspace_bytes(tokens);
  });
}

int moe_tune_explain_forward(const moe_tune_forward_args* args, int64_t tokens, char* text, size_t size) {
  return guarded([&] {
    if (text == nullptr || size == 0) throw UsageError("text is NULL or of size 0");
    const Selection selection = operations().find(convert(args)).selection(tokens);
    const std::string line = fmt::format("{} ({})", to_string(selection.config), selection.reason);
    const size_t length = std::min(line.size(), size - 1);
    std::memcpy(text, line.data(), length);
    text[length] = '\0';
  });
}

int moe_tune_device_status(int device, uint32_t* bits, int clear) {
  return guarded([&] {
    if (bits == nullptr) throw UsageError("bits is NULL");
    const DeviceStatus status = Library::instance().status(device, clear != 0);
    *bits = (status.bad_gather_index ? MOE_TUNE_STATUS_BAD_GATHER_INDEX : 0u) |
            (status.bad_m_sizes ? MOE_TUNE_STATUS_BAD_M_SIZES : 0u);
  });
}

const char* moe_tune_last_error(void) { return last_error.c_str(); }

const char* moe_tune_version(void) { return MOE_TUNE_VERSION; }
