# Workers that hang, crash, talk nonsense or meet bad sources, and the tuner that goes on.
foreach(worker fake_worker faulty_compiler faulty_emulated)
  add_executable(${worker} fault_tune/workers/${worker}.cpp)
  target_link_libraries(${worker} PRIVATE moe_tune_tune)
endforeach()
moe_tune_test(fault_tune FOLDER fault_tune LINK moe_tune_tune LABEL fault)
target_compile_definitions(fault_tune PRIVATE MOE_TUNE_FAKE_WORKER="$<TARGET_FILE:fake_worker>"
                                              MOE_TUNE_FAULTY_COMPILER="$<TARGET_FILE:faulty_compiler>"
                                              MOE_TUNE_FAULTY_EMULATED="$<TARGET_FILE:faulty_emulated>")
add_dependencies(fault_tune fake_worker faulty_compiler faulty_emulated)
