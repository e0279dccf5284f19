// A cubin loaded into a context.
#pragma once

#include <cuda.h>

#include <string>
#include <string_view>

namespace moe_tune {

/// Loads a cubin into the context that is current in this thread, and unloads it on destruction (from any thread, whichever
/// context is current there). The context must outlive the module, and no kernel of it may run any more when it goes.
class Module {
 public:
  /// `cubin` is copied by the driver. Throws EnvironmentError when the driver refuses it or no context is current.
  explicit Module(std::string_view cubin);
  ~Module();
  Module(Module&& other) noexcept;
  Module& operator=(Module&& other) noexcept;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// The kernel `name`, valid as long as the module; EnvironmentError when the cubin has none of that name.
  CUfunction function(const std::string& name) const;

 private:
  void unload() noexcept;

  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
};

}  // namespace moe_tune
