// What the C API's functions of routers share: tensors of a call, and the operations that were asked for.
#pragma once

#include <initializer_list>
#include <map>
#include <mutex>
#include <utility>

#include "moe_tune/router_problem.hpp"
#include "runtime/ops/c_api_tensor.hpp"

namespace moe_tune {

/// A call in the terms of the C++ API.
template <class Args>
struct CallOfRouter {
  RouterProblem problem;
  int device = 0;
  Args args;

  /// A contiguous tensor on the call's device: of its dtype, of int32 or of float32.
  enum class Of { dtype, int32, float32 };
  void* tensor(const char* name, const DLTensor* given, std::initializer_list<std::int64_t> shape, Of of) const {
    const Tensor result(name, given, static_cast<int>(shape.size()));
    if (of == Of::int32) {
      result.require_int32();
    } else if (of == Of::float32) {
      if (!result.is(kDLFloat, 32)) throw UsageError(fmt::format("{} is not float32", name));
    } else if (result.storage_type() != problem.dtype) {
      throw UsageError(fmt::format("{} is not of hidden_states' dtype", name));
    }
    result.require_shape(shape);
    result.require_device(device);
    result.require_contiguous();
    return result.data();
  }
  /// The same, where it is given; else null.
  void* optional_tensor(const char* name, const DLTensor* given, std::initializer_list<std::int64_t> shape, Of of) const {
    return given == nullptr ? nullptr : tensor(name, given, shape, of);
  }

  void take_workspace(const DLTensor* given) {
    if (given == nullptr) return;
    const Tensor workspace("workspace", given, 1);
    workspace.require_device(device);
    args.workspace = workspace.data();
    args.workspace_bytes = workspace.bytes();
  }
};

inline RouterKind router_kind(std::int32_t kind) {
  if (kind < MOE_TUNE_SOFTMAX || kind > MOE_TUNE_SIGMOID)
    throw UsageError(fmt::format("kind = {} is no moe_tune_router_kind", kind));
  return static_cast<RouterKind>(kind);
}

/// The operation of a call, of those that were asked for; made by its first call.
template <class Operation, class Call>
Operation& operation_of(const Call& call) {
  // Never destroyed, like the library that they use.
  static std::mutex& mutex = *new std::mutex();
  static auto& all = *new std::map<std::pair<RouterProblem, int>, Operation>();
  const std::lock_guard lock(mutex);
  const auto key = std::pair(call.problem, call.device);
  const auto found = all.find(key);
  if (found != all.end()) return found->second;
  return all.emplace(key, Operation(Library::instance(), call.problem, call.device)).first->second;
}

}  // namespace moe_tune
