# moe_tune_embed_templates(FOLDER OUT_SOURCES): makes a .cpp that holds every .cuh under FOLDER as a string, so that the
# binaries need no files at run time. Regenerated when a template changes.
function(moe_tune_embed_templates folder out)
  file(GLOB_RECURSE templates CONFIGURE_DEPENDS ${folder}/*.cuh)
  set(generated ${PROJECT_BINARY_DIR}/embedded_templates.cpp)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DOUT=${generated} -P ${PROJECT_SOURCE_DIR}/cmake/embed_templates_script.cmake
    DEPENDS ${templates} ${PROJECT_SOURCE_DIR}/cmake/embed_templates_script.cmake
    COMMENT "Embedding templates"
    VERBATIM)
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
