#include "runtime/jit/module.hpp"

#include <fmt/format.h>

#include <utility>

#include "moe_tune/error.hpp"
#include "runtime/jit/driver.hpp"

namespace moe_tune {

Module::Module(std::string_view cubin) {
  const Driver& cuda = driver();
  cuda.cuCtxGetCurrent(&context_);
  if (!context_)
    throw EnvironmentError("a module was loaded while no CUDA context was current: make the device's context current first");
  // The driver reads the sizes from the ELF headers, so an empty image must not get there.
  if (cubin.empty()) throw EnvironmentError("a module was loaded from an empty cubin");
  cuda.cuModuleLoadData(&module_, cubin.data());
}

Module::~Module() { unload(); }

Module::Module(Module&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)), module_(std::exchange(other.module_, nullptr)) {}

Module& Module::operator=(Module&& other) noexcept {
  if (this != &other) {
    unload();
    context_ = std::exchange(other.context_, nullptr);
    module_ = std::exchange(other.module_, nullptr);
  }
  return *this;
}

CUfunction Module::function(const std::string& name) const {
  CUfunction function = nullptr;
  const CUresult result = driver().cuModuleGetFunction.result(&function, module_, name.c_str());
  if (result == CUDA_ERROR_NOT_FOUND) throw EnvironmentError(fmt::format("the loaded cubin has no kernel named {}", name));
  if (result != CUDA_SUCCESS) throw_cuda_error(result, "cuModuleGetFunction");
  return function;
}

void Module::unload() noexcept {
  if (!module_) return;
  // Errors are dropped: at the end of the process the context may have gone before, and the module with it.
  const Driver& cuda = driver();
  if (cuda.cuCtxPushCurrent.result(context_) != CUDA_SUCCESS) return;
  cuda.cuModuleUnload.result(module_);
  CUcontext popped = nullptr;
  cuda.cuCtxPopCurrent.result(&popped);
  module_ = nullptr;
}

}  // namespace moe_tune
