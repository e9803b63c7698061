# What `make install` copies: the library, its headers, its pkg-config and CMake package files, the command, its manual
# pages and shell completion (written by the command itself), and the configurations.
include(CMakePackageConfigHelpers)

install(TARGETS pha EXPORT phaTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/pha.h include/pha_train.def DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/pha DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
file(GLOB configs CONFIGURE_DEPENDS configs/*.json)
install(FILES ${configs} DESTINATION ${CMAKE_INSTALL_DATADIR}/pha/configs)
install(DIRECTORY configs/repro DESTINATION ${CMAKE_INSTALL_DATADIR}/pha/configs)

# find_package(pha)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/pha)
install(EXPORT phaTargets NAMESPACE pha:: DESTINATION ${package})
configure_package_config_file(cmake/phaConfig.cmake.in phaConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(phaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/phaConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/phaConfigVersion.cmake
        DESTINATION ${package})

# pkg-config. The prefix is found from where pha.pc lies, so that an installed tree can be moved. A static library
# cannot do without the libraries behind it, so they are not private then: plain `pkg-config --libs pha` is enough.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
  set(PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
  set(PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PC_PREFIX "\${pcfiledir}/${up}")
  set(PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(PC_LIBS -lbz2) # has no .pc file everywhere
if(BUILD_SHARED_LIBS)
  set(PC_PRIVATE .private)
  set(PC_LIBS "")
endif()
string(REPLACE ";" " " PC_REQUIRES "zlib;${PHA_PKGS}")
configure_file(cmake/pha.pc.in pha.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pha.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(NOT TARGET pha_command)
  return()
endif()
install(TARGETS pha_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_BINDIR}")
  file(RELATIVE_PATH to_lib /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(pha_command PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
endif()

# Manual pages and completion, where the command that was built can run.
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  return()
endif()
set(made ${CMAKE_CURRENT_BINARY_DIR}/made)
file(MAKE_DIRECTORY ${made})
file(STRINGS cli/commands.def commands REGEX "^COMMAND\\(")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cli/commands.def)
add_custom_command(OUTPUT ${made}/pha.1 COMMAND pha_command help --man > ${made}/pha.1 DEPENDS pha_command)
foreach(shell bash zsh fish)
  add_custom_command(OUTPUT ${made}/completion.${shell} COMMAND pha_command completion ${shell} >
                     ${made}/completion.${shell} DEPENDS pha_command)
  list(APPEND completions ${made}/completion.${shell})
endforeach()
set(pages ${made}/pha.1)
foreach(line ${commands})
  string(REGEX REPLACE "^COMMAND\\(([a-z_]+)\\).*" "\\1" name "${line}")
  add_custom_command(OUTPUT ${made}/pha-${name}.1 COMMAND pha_command help --man ${name} > ${made}/pha-${name}.1
                     DEPENDS pha_command)
  list(APPEND pages ${made}/pha-${name}.1)
endforeach()
add_custom_target(pha_pages ALL DEPENDS ${pages} ${completions})
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
set(PHA_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "where zsh looks for completions")
install(FILES ${made}/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME pha)
install(FILES ${made}/completion.zsh DESTINATION ${PHA_ZSH_DIR} RENAME _pha)
install(FILES ${made}/completion.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME pha.fish)
