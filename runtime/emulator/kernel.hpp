// A kernel built for the host: the emitted CUDA source with its ptx/ sections replaced by their twins.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace moe_tune::emulator {

class Machine;

/// Where the C++ compiler of this machine is: $MOE_TUNE_HOST_CXX and no other when it is set, else $CXX, c++, g++ or clang++ in
/// the PATH. Throws EnvironmentError that says what to install when there is none.
std::string find_host_compiler();

/// `cuda_source` with every section of templates/ptx/ (inline_template() marks them) replaced by its twin. Throws UsageError when
/// a section has no twin, or none is there.
std::string host_source(std::string_view cuda_source);

/// The machine code of a source, loaded into this process. One launch runs in it at a time; others wait.
class Kernel {
 public:
  /// Compiles and loads. Throws EnvironmentError when there is no compiler, UsageError with its messages when the compiler
  /// refuses the source.
  explicit Kernel(std::string_view cuda_source);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// The entry point `name`. Throws UsageError when there is none.
  void* function(const char* name) const;

  /// Makes `machine` the device of this kernel's threads as long as the guard lives.
  class Running {
   public:
    Running(const Kernel& kernel, Machine& machine);
    ~Running();

   private:
    const Kernel& kernel_;
    std::lock_guard<std::mutex> lock_;
  };

 private:
  void* library_ = nullptr;
  mutable std::mutex running_;
};

}  // namespace moe_tune::emulator
