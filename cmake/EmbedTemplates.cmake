# moe_tune_embed_templates(FOLDER FUNCTION): makes a .cpp, named in the variable FUNCTION, that holds every .cuh under FOLDER as a
# string, so that the binaries need no files at run time, and defines moe_tune::FUNCTION() that returns them as
# std::span<const TemplateFile>. Regenerated when a file changes.
function(moe_tune_embed_templates folder function)
  file(GLOB_RECURSE templates CONFIGURE_DEPENDS ${folder}/*.cuh)
  set(generated ${PROJECT_BINARY_DIR}/${function}.cpp)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DFUNCTION=${function} -DOUT=${generated}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_templates_script.cmake
    DEPENDS ${templates} ${PROJECT_SOURCE_DIR}/cmake/embed_templates_script.cmake
    COMMENT "Embedding ${folder}"
    VERBATIM)
  set(${function} ${generated} PARENT_SCOPE)
endfunction()
