# Planted kernels on a real GPU.
add_executable(faulty_kernels gpu_tune/workers/faulty_kernels.cpp)
target_link_libraries(faulty_kernels PRIVATE moe_tune_tune)
moe_tune_test(gpu_tune FOLDER gpu_tune LINK moe_tune_tune LABEL gpu GPU)
target_compile_definitions(gpu_tune PRIVATE MOE_TUNE_FAULTY_KERNELS="$<TARGET_FILE:faulty_kernels>")
add_dependencies(gpu_tune faulty_kernels)
