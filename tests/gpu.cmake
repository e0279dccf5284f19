# Emitted kernels on a GPU, against the references. Skipped where there is none; docs/TESTING.md says how to run them.
file(GLOB gpu_support_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/gpu/support/*.cpp)
moe_tune_library(moe_tune_gpu_test_support
  SOURCES ${gpu_support_sources}
  LINK moe_tune_launch moe_tune_reference Catch2::Catch2)

moe_tune_test(gpu_forward FOLDER gpu/forward LINK moe_tune_gpu_test_support moe_tune_emulator moe_tune_ops LABEL gpu GPU)

# Whole blocks, through the public API. The same main as gpu_forward's.
moe_tune_test(gpu_blocks FOLDER gpu/blocks LINK moe_tune_gpu_test_support moe_tune_blocks LABEL gpu GPU)
target_sources(gpu_blocks PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/gpu/forward/main.cpp)

# A few small cases, once each, for compute-sanitizer.
add_executable(gpu_sanitize gpu/sanitize.cpp)
target_link_libraries(gpu_sanitize PRIVATE moe_tune_gpu_test_support moe_tune_blocks fmt::fmt-header-only)
target_compile_definitions(gpu_sanitize PRIVATE MOE_TUNE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
add_test(NAME gpu_sanitize COMMAND gpu_sanitize)
set_tests_properties(gpu_sanitize PROPERTIES LABELS gpu SKIP_RETURN_CODE 77 TIMEOUT 300 RESOURCE_LOCK gpu)

# The ceilings of this GPU, and how close the kernels come: prints figures, tests nothing.
add_executable(gpu_ceilings gpu/ceilings.cpp)
target_link_libraries(gpu_ceilings PRIVATE moe_tune_tune fmt::fmt-header-only)
