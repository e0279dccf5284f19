# moe_tune_library(NAME SOURCES ... LINK ...): a static library of this project that sees the repository root, so that every
# include reads "folder/header.hpp". Which libraries LINK names is what a folder may include.
function(moe_tune_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE fmt::fmt-header-only ${ARG_PRIVATE_LINK})
endfunction()
