moe_tune_test(unit_jit FOLDER unit/runtime/jit LINK moe_tune_jit)
