# The same tests in two sizes: a few seconds by default; with MOE_TUNE_FAULT_SCALE=long the numbers of docs/THREAT_MODEL.md.
moe_tune_test(fault_tests FOLDER fault LINK moe_tune_tuning_db LABEL fault)
add_test(NAME "fault_tests: all of them, long" COMMAND fault_tests)
set_tests_properties("fault_tests: all of them, long" PROPERTIES
  LABELS "long" TIMEOUT 7200 RUN_SERIAL ON ENVIRONMENT "MOE_TUNE_FAULT_SCALE=long;MOE_TUNE_LOG=error")
