# What `cmake --install` puts where: the library, its headers, the program, and the package that find_package(moe_tune) finds.
include(CMakePackageConfigHelpers)

install(TARGETS moe_tune EXPORT moe_tune-targets)
install(DIRECTORY generator/include/ runtime/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS moe-tune)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/moe_tune)
install(EXPORT moe_tune-targets NAMESPACE moe_tune:: DESTINATION ${package_folder})
configure_package_config_file(cmake/moe_tune-config.cmake.in ${PROJECT_BINARY_DIR}/moe_tune-config.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/moe_tune-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/moe_tune-config.cmake ${PROJECT_BINARY_DIR}/moe_tune-config-version.cmake
  DESTINATION ${package_folder})
