# The CUDA headers (cuda.h, nvrtc.h) that runtime/ compiles against. Neither libcuda nor NVRTC is linked: both are opened at
# run time. Searched: MOE_TUNE_CUDA_INCLUDE_DIRS, .deps/ (PyPI wheels that ./moe-tune fetches), then the CUDA toolkit.
set(MOE_TUNE_CUDA_INCLUDE_DIRS "" CACHE STRING "Folders that hold cuda.h and nvrtc.h")
file(GLOB wheel_includes LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/.deps/nvidia/*/include)
set(cuda_hints ${MOE_TUNE_CUDA_INCLUDE_DIRS} $ENV{CUDA_HOME}/include $ENV{CUDA_PATH}/include /usr/local/cuda/include ${wheel_includes})
find_path(MOE_TUNE_CUDA_H cuda.h HINTS ${cuda_hints})
find_path(MOE_TUNE_NVRTC_H nvrtc.h HINTS ${cuda_hints})
if(NOT MOE_TUNE_CUDA_H OR NOT MOE_TUNE_NVRTC_H)
  message(FATAL_ERROR "cuda.h and nvrtc.h were not found. Run ./moe-tune once (it fetches them), install the CUDA toolkit, "
                      "or set -DMOE_TUNE_CUDA_INCLUDE_DIRS=<folder>.")
endif()
add_library(moe_tune_cuda_headers INTERFACE)
target_include_directories(moe_tune_cuda_headers SYSTEM INTERFACE ${MOE_TUNE_CUDA_H} ${MOE_TUNE_NVRTC_H})
