# Run with -DBUILD= (this project's build) -DEXAMPLE= (docs/example) -DOUT= (a folder of our own): installs the package, builds the
# example against it and nothing else, and checks what was installed.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN} returned ${result}:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${OUT})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${OUT}/prefix)
run(${CMAKE_COMMAND} -S ${EXAMPLE} -B ${OUT}/build -DCMAKE_PREFIX_PATH=${OUT}/prefix -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror" "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
run(${CMAKE_COMMAND} --build ${OUT}/build)
run(${OUT}/prefix/bin/moe-tune --version)

file(GLOB_RECURSE headers RELATIVE ${OUT}/prefix/include ${OUT}/prefix/include/*)
foreach(header IN LISTS headers)
  if(NOT header MATCHES "^moe_tune/")
    message(FATAL_ERROR "${header} is installed outside include/moe_tune")
  endif()
endforeach()
