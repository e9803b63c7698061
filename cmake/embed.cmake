# pha_embed(OUT.c FOLDER FILES a b HEADER x.h TYPE type NAME array): files of FOLDER as arrays of bytes, in a C file of
# the build folder, written again when one of them changes. `type` has a name, data and a size; zeros end the list.
function(pha_embed out folder)
  cmake_parse_arguments(E "" "HEADER;TYPE;NAME" "FILES" ${ARGN})
  set(arrays "")
  set(rows "")
  set(number 0)
  foreach(name ${E_FILES})
    set(file ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${name})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const unsigned char file_${number}[] = {${bytes}};\n")
    string(APPEND rows "    {\"${name}\", file_${number}, sizeof file_${number}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${out} CONTENT
       "#include \"${E_HEADER}\"\n\n@arrays@\nconst ${E_TYPE} ${E_NAME}[] = {\n@rows@    {0},\n};\n" @ONLY)
endfunction()
