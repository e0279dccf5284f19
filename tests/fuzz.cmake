# Readers of files against mutated inputs: deterministic and short by default, a million inputs each under the label "long".
moe_tune_test(fuzz_tests FOLDER fuzz LINK moe_tune_tuning_db moe_tune_io LABEL fuzz)
add_test(NAME "fuzz_tests: a million inputs each" COMMAND fuzz_tests)
set_tests_properties("fuzz_tests: a million inputs each" PROPERTIES
  LABELS "long" TIMEOUT 7200 ENVIRONMENT "MOE_TUNE_FUZZ_INPUTS=1000000")

# With clang: coverage-guided fuzzing, e.g. bin/fuzz_override -max_total_time=600 tests/fuzz/corpus/override
option(MOE_TUNE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
if(MOE_TUNE_FUZZ)
  # The libraries are instrumented too, or the fuzzer would be blind to their branches.
  foreach(library moe_tune_generator moe_tune_tuning_db moe_tune_reference moe_tune_io)
    target_compile_options(${library} PUBLIC -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
    target_link_options(${library} PUBLIC -fsanitize=fuzzer-no-link,address,undefined)
  endforeach()
  foreach(target json override database journal safetensors model_config shard_index)
    add_executable(fuzz_${target} fuzz/libfuzzer/main.cpp fuzz/targets.cpp)
    target_compile_definitions(fuzz_${target} PRIVATE MOE_TUNE_FUZZ_TARGET=fuzz_${target})
    target_link_options(fuzz_${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(fuzz_${target} PRIVATE moe_tune_tuning_db moe_tune_io)
  endforeach()
endif()
