# The CLI: its parts, the built program as a user runs it, and the direction of includes.
moe_tune_test(unit_architecture FOLDER unit/architecture)
if(TARGET moe_tune_cli)
  moe_tune_test(unit_tools FOLDER unit/tools LINK moe_tune_cli)
  moe_tune_test(cli FOLDER cli LINK moe_tune_jit moe_tune_io moe_tune_reference LABEL cli)
  add_dependencies(cli moe-tune)
  target_compile_definitions(cli PRIVATE MOE_TUNE_CLI="$<TARGET_FILE:moe-tune>")
endif()
