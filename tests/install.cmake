# The installed package, through the example applications of docs/.
if(TARGET moe_tune)
  set(install_test_folder ${CMAKE_CURRENT_BINARY_DIR}/install)
  add_test(NAME "install: the example builds against the installed package"
    COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DEXAMPLE=${PROJECT_SOURCE_DIR}/docs/example -DOUT=${install_test_folder}
            -P ${CMAKE_CURRENT_SOURCE_DIR}/install/build_example.cmake)
  set_tests_properties("install: the example builds against the installed package"
    PROPERTIES LABELS install FIXTURES_SETUP installed_example TIMEOUT 300)
  foreach(language cpp c)
    add_test(NAME "install: the ${language} example" COMMAND ${install_test_folder}/build/grouped_gemm_${language})
    set_tests_properties("install: the ${language} example"
      PROPERTIES LABELS "install;gpu" FIXTURES_REQUIRED installed_example SKIP_RETURN_CODE 77 TIMEOUT 300)
  endforeach()
  add_test(NAME "install: the block example"
    COMMAND ${install_test_folder}/build/moe_block_cpp ${CMAKE_CURRENT_SOURCE_DIR}/golden/qwen3_bf16 0)
  set_tests_properties("install: the block example"
    PROPERTIES LABELS "install;gpu" FIXTURES_REQUIRED installed_example SKIP_RETURN_CODE 77 TIMEOUT 300)
  # Without a GPU it trains the reference block.
  add_test(NAME "install: the training example" COMMAND ${install_test_folder}/build/train_block_cpp)
  set_tests_properties("install: the training example"
    PROPERTIES LABELS install FIXTURES_REQUIRED installed_example TIMEOUT 300 RESOURCE_LOCK gpu)
endif()
