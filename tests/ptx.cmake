# Every PTX wrapper alone: micro-kernels that run in the emulator and, where there is one, on the GPU. Both must give what a formula
# on the host gives.
include(${PROJECT_SOURCE_DIR}/cmake/EmbedTemplates.cmake)
moe_tune_embed_templates(${CMAKE_CURRENT_SOURCE_DIR}/ptx/kernels embedded_micro_kernels)
file(GLOB ptx_test_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/ptx/support/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/ptx/cases/*.cpp)
moe_tune_library(moe_tune_ptx_tests
  SOURCES ${ptx_test_sources} ${embedded_micro_kernels}
  LINK moe_tune_emulator moe_tune_launch)
# Kernel files include each other as the compiler of a GPU sees them.
target_include_directories(moe_tune_ptx_tests PUBLIC ${PROJECT_SOURCE_DIR}/templates)

moe_tune_test(ptx_emulator FOLDER ptx/emulator LINK moe_tune_ptx_tests LABEL ptx)
moe_tune_test(ptx_gpu FOLDER ptx/gpu LINK moe_tune_ptx_tests moe_tune_gpu_test_support LABEL gpu GPU)
target_sources(ptx_gpu PRIVATE gpu/forward/main.cpp)
moe_tune_test(ptx_unit FOLDER ptx/unit LINK moe_tune_ptx_tests LABEL ptx)

# One test per arch, so that one which the NVRTC of this machine does not know is reported as skipped.
add_executable(ptx_compile ptx/compile.cpp)
target_link_libraries(ptx_compile PRIVATE moe_tune_ptx_tests fmt::fmt-header-only)
foreach(arch sm_80 sm_90a)
  add_test(NAME "ptx_compile: ${arch}" COMMAND ptx_compile ${arch})
  set_tests_properties("ptx_compile: ${arch}" PROPERTIES LABELS ptx SKIP_RETURN_CODE 77 TIMEOUT 300)
endforeach()
