# The mutation study: planted faults in copies of kernels, on the emulated device.
include(${PROJECT_SOURCE_DIR}/cmake/EmbedTemplates.cmake)
moe_tune_embed_templates(${CMAKE_CURRENT_SOURCE_DIR}/mutation/pipelines embedded_pipelines)
file(GLOB mutation_support_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/mutation/support/*.cpp)
moe_tune_library(moe_tune_mutation_support
  SOURCES ${mutation_support_sources} ${embedded_pipelines}
  LINK moe_tune_emulator moe_tune_launch Catch2::Catch2)
# The pipelines' arguments include abi/ as templates do.
target_include_directories(moe_tune_mutation_support PUBLIC ${PROJECT_SOURCE_DIR}/templates)

moe_tune_test(mutation FOLDER mutation LINK moe_tune_mutation_support LABEL emulator)
# The pipelines without a fault, on a GPU.
moe_tune_test(mutation_gpu FOLDER mutation/gpu LINK moe_tune_mutation_support moe_tune_gpu_test_support LABEL gpu GPU)
target_sources(mutation_gpu PRIVATE gpu/forward/main.cpp)

add_executable(pipelines_compile mutation/compile/main.cpp)
target_link_libraries(pipelines_compile PRIVATE moe_tune_mutation_support fmt::fmt-header-only)
add_test(NAME pipelines_compile COMMAND pipelines_compile)
set_tests_properties(pipelines_compile PROPERTIES LABELS emulator SKIP_RETURN_CODE 77 TIMEOUT 300)
