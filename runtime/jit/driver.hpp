// The CUDA driver, opened at run time: nothing in this project links libcuda, so one binary also runs where there is none.
#pragma once

#include <cuda.h>

#include <string>

#include "moe_tune/error.hpp"

namespace moe_tune {

/// What a call of the driver returned instead of CUDA_SUCCESS.
class CudaError : public EnvironmentError {
 public:
  CudaError(CUresult result, const std::string& message) : EnvironmentError(message), result_(result) {}
  CUresult result() const { return result_; }

 private:
  CUresult result_;
};

/// Throws CudaError naming the call, CUDA's name for the error and its description. `result` is not CUDA_SUCCESS.
[[noreturn]] void throw_cuda_error(CUresult result, const char* call);

/// One function of the driver. Calling it throws EnvironmentError unless the driver returns CUDA_SUCCESS.
template <class Signature>
class DriverFunction;

template <class... Args>
class DriverFunction<CUresult(Args...)> {
 public:
  explicit constexpr DriverFunction(const char* name) : name_(name) {}

  void operator()(Args... args) const {
    const CUresult result = function_(args...);
    if (result != CUDA_SUCCESS) [[unlikely]]
      throw_cuda_error(result, name_);
  }

  /// The same call without the exception: for destructors, and where an error code is an answer.
  CUresult result(Args... args) const noexcept { return function_(args...); }

  /// The driver's name for the function, version suffix included, e.g. "cuMemAlloc_v2".
  const char* name() const { return name_; }

  void bind(void* address) { function_ = reinterpret_cast<CUresult (*)(Args...)>(address); }

 private:
  const char* name_;
  CUresult (*function_)(Args...) = nullptr;
};

// Every driver function in use. cuda.h maps some names to versioned ones (cuMemAlloc to cuMemAlloc_v2); the macros below
// expand such a name before they declare or look it up, so a caller writes the plain name and gets the right one.
#define MOE_TUNE_DRIVER_FUNCTIONS(X)             \
  X(cuInit)                                      \
  X(cuDriverGetVersion)                          \
  X(cuGetErrorName)                              \
  X(cuGetErrorString)                            \
  X(cuDeviceGetCount)                            \
  X(cuDeviceGet)                                 \
  X(cuDeviceGetName)                             \
  X(cuDeviceGetAttribute)                        \
  X(cuDeviceGetUuid)                             \
  X(cuDeviceTotalMem)                            \
  X(cuDevicePrimaryCtxRetain)                    \
  X(cuDevicePrimaryCtxRelease)                   \
  X(cuCtxPushCurrent)                            \
  X(cuCtxPopCurrent)                             \
  X(cuCtxGetCurrent)                             \
  X(cuCtxSetCurrent)                             \
  X(cuCtxGetDevice)                              \
  X(cuCtxSynchronize)                            \
  X(cuMemAlloc)                                  \
  X(cuMemFree)                                   \
  X(cuMemGetInfo)                                \
  X(cuMemcpy)                                    \
  X(cuMemcpyHtoD)                                \
  X(cuMemcpyDtoH)                                \
  X(cuMemcpyHtoDAsync)                           \
  X(cuMemcpyDtoHAsync)                           \
  X(cuMemcpyDtoDAsync)                           \
  X(cuMemAllocFromPoolAsync)                     \
  X(cuMemFreeAsync)                              \
  X(cuMemPoolCreate)                             \
  X(cuMemPoolDestroy)                            \
  X(cuMemPoolSetAttribute)                       \
  X(cuMemsetD8Async)                             \
  X(cuMemsetD32Async)                            \
  X(cuMemHostAlloc)                              \
  X(cuMemFreeHost)                               \
  X(cuMemHostGetDevicePointer)                   \
  X(cuStreamCreate)                              \
  X(cuStreamDestroy)                             \
  X(cuStreamSynchronize)                         \
  X(cuStreamWaitEvent)                           \
  X(cuStreamIsCapturing)                         \
  X(cuStreamGetId)                               \
  X(cuThreadExchangeStreamCaptureMode)           \
  X(cuStreamGetCtx)                              \
  X(cuEventCreate)                               \
  X(cuEventRecord)                               \
  X(cuEventQuery)                                \
  X(cuEventSynchronize)                          \
  X(cuEventElapsedTime)                          \
  X(cuEventDestroy)                              \
  X(cuModuleLoadData)                            \
  X(cuModuleUnload)                              \
  X(cuModuleGetFunction)                         \
  X(cuFuncSetAttribute)                          \
  X(cuFuncGetAttribute)                          \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor) \
  X(cuLaunchKernel)                              \
  X(cuLaunchKernelEx)                            \
  X(cuTensorMapEncodeTiled)

/// The driver's functions under the names of cuda.h: `driver().cuMemAlloc(&address, bytes)`.
struct Driver {
#define MOE_TUNE_DECLARE(function) DriverFunction<decltype(::function)> function{#function};
#define MOE_TUNE_DECLARE_EXPANDED(function) MOE_TUNE_DECLARE(function)
  MOE_TUNE_DRIVER_FUNCTIONS(MOE_TUNE_DECLARE_EXPANDED)
#undef MOE_TUNE_DECLARE_EXPANDED
#undef MOE_TUNE_DECLARE
};

/// The driver, opened and initialised (cuInit) by the first call in the process; thread-safe. Throws EnvironmentError that says
/// what to do where there is no driver or no GPU. A process that forks must not use the driver on both sides of the fork.
const Driver& driver();

/// The same, or nullptr where there is no usable driver; then `*why` (unless null) says why not, and what to do.
const Driver* try_driver(std::string* why = nullptr);

}  // namespace moe_tune
