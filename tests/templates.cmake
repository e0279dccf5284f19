# Every template keeps to the rules and compiles alone; an emitted kernel also compiles with nvcc. One test per arch, so that an
# arch which the NVRTC of this machine does not know is reported as skipped.
set(template_archs sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120)

add_executable(template_rules templates/rules.cpp)
list(JOIN template_archs " " template_archs_text)
target_compile_definitions(template_rules PRIVATE MOE_TUNE_TEMPLATE_ARCHS="${template_archs_text}")
target_link_libraries(template_rules PRIVATE moe_tune_generator Catch2::Catch2WithMain)
catch_discover_tests(template_rules TEST_PREFIX "template_rules: " PROPERTIES LABELS templates)

add_executable(template_compile_alone templates/compile_alone.cpp)
target_link_libraries(template_compile_alone PRIVATE moe_tune_jit fmt::fmt-header-only)
foreach(arch IN LISTS template_archs)
  add_test(NAME "template_compile_alone: ${arch}" COMMAND template_compile_alone ${arch})
  set_tests_properties("template_compile_alone: ${arch}" PROPERTIES LABELS templates SKIP_RETURN_CODE 77 TIMEOUT 300)
endforeach()

add_executable(template_with_nvcc templates/with_nvcc.cpp)
target_link_libraries(template_with_nvcc PRIVATE moe_tune_generator fmt::fmt-header-only)
add_test(NAME "template_with_nvcc: an emitted kernel" COMMAND template_with_nvcc)
set_tests_properties("template_with_nvcc: an emitted kernel" PROPERTIES LABELS templates SKIP_RETURN_CODE 77 TIMEOUT 300)
