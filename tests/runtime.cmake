moe_tune_test(unit_jit FOLDER unit/runtime/jit LINK moe_tune_jit)
moe_tune_test(unit_reference FOLDER unit/runtime/reference LINK moe_tune_reference)
moe_tune_test(unit_tune FOLDER unit/runtime/tune LINK moe_tune_tune)
