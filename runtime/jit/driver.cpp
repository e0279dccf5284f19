#include "runtime/jit/driver.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

struct OpenedDriver {
  std::optional<Driver> driver;
  std::string why;  ///< why there is no driver
};

std::string error_text(const Driver& driver, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  driver.cuGetErrorName.result(result, &name);
  driver.cuGetErrorString.result(result, &text);
  return fmt::format("{} ({}): {}", name ? name : "unknown CUDA error", static_cast<int>(result), text ? text : "no description");
}

// Newer headers rename this one to a version that a 12.4 driver does not export; both take the same arguments, and the two differ
// only in which errors they can tell apart.
std::string_view older_name(std::string_view name) { return name == "cuEventElapsedTime_v2" ? "cuEventElapsedTime" : ""; }

template <class Function>
void bind(Function& function, void* library, std::string& missing) {
  void* address = dlsym(library, function.name());
  if (!address && !older_name(function.name()).empty()) address = dlsym(library, older_name(function.name()).data());
  if (!address) missing += fmt::format(" {}", function.name());
  function.bind(address);
}

OpenedDriver open_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    return {std::nullopt,
            fmt::format("no NVIDIA driver: libcuda.so.1 cannot be opened ({}). Install the driver, or in a container "
                        "start it with GPU access (docker run --gpus all)",
                        dlerror())};
  }
  Driver driver;
  std::string missing;
#define MOE_TUNE_BIND(function) bind(driver.function, library, missing);
  MOE_TUNE_DRIVER_FUNCTIONS(MOE_TUNE_BIND)
#undef MOE_TUNE_BIND
  if (!missing.empty())
    return {std::nullopt, fmt::format("the NVIDIA driver is too old: it lacks{}. Install one for CUDA 12.4 or later", missing)};
  if (const CUresult result = driver.cuInit.result(0); result != CUDA_SUCCESS) {
    return {std::nullopt,
            fmt::format("the NVIDIA driver does not start: cuInit returned {}. Check that nvidia-smi lists a GPU and "
                        "that CUDA_VISIBLE_DEVICES does not hide it",
                        error_text(driver, result))};
  }
  return {driver, ""};
}

// Opened once and never closed: contexts and modules live until the process ends.
const OpenedDriver& opened_driver() {
  static const OpenedDriver opened = open_driver();
  return opened;
}

}  // namespace

void throw_cuda_error(CUresult result, const char* call) {
  throw CudaError(result, fmt::format("{} failed: {}", call, error_text(driver(), result)));
}

const Driver* try_driver(std::string* why) {
  const OpenedDriver& opened = opened_driver();
  if (!opened.driver && why) *why = opened.why;
  return opened.driver ? &*opened.driver : nullptr;
}

const Driver& driver() {
  std::string why;
  if (const Driver* opened = try_driver(&why)) return *opened;
  throw EnvironmentError(why);
}

}  // namespace moe_tune
