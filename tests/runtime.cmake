moe_tune_test(unit_jit FOLDER unit/runtime/jit LINK moe_tune_jit)
moe_tune_test(unit_reference FOLDER unit/runtime/reference LINK moe_tune_reference moe_tune_io)
moe_tune_test(unit_io FOLDER unit/runtime/io LINK moe_tune_io)
moe_tune_test(unit_launch FOLDER unit/runtime/launch LINK moe_tune_launch)
moe_tune_test(unit_emulator FOLDER unit/runtime/emulator LINK moe_tune_emulator_semantics)
moe_tune_test(unit_tune FOLDER unit/runtime/tune LINK moe_tune_tune)

# The public API through the shared library, as applications use it; needs no GPU.
moe_tune_test(unit_ops FOLDER unit/runtime/ops LINK moe_tune::moe_tune)
target_compile_definitions(unit_ops PRIVATE MOE_TUNE_NM="${CMAKE_NM}" MOE_TUNE_LIBRARY="$<TARGET_FILE:moe_tune>"
  MOE_TUNE_PROJECT_VERSION="${PROJECT_VERSION}")

# What the shared library does not export.
moe_tune_test(unit_ops_internal FOLDER unit/runtime/ops/internal LINK moe_tune_ops)

moe_tune_test(unit_blocks FOLDER unit/runtime/blocks LINK moe_tune_blocks)
