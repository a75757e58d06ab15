# One static library per idea, with one test binary next to it; warnings are errors in our own code.

add_library(muster_warnings INTERFACE)
target_compile_options(muster_warnings INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
  -Wnon-virtual-dtor -Woverloaded-virtual -Wno-sign-compare)
# GCC 12 warns of overlaps in std::string that do not exist: https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651
target_compile_options(muster_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

# Most of the time of a compile step goes to the headers of gRPC, protobuf and torch, so the files of a library are
# compiled together, sixteen at a time (docs/decisions/0089). -DCMAKE_UNITY_BUILD=OFF compiles each file by itself.
option(CMAKE_UNITY_BUILD "Compile the files of a library together, several at a time" ON)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 16 CACHE STRING "How many files are compiled together; 0: a whole library")
if(CMAKE_UNITY_BUILD)
  # In a unity build no .cc file is the compiler's main file, so this warning treats its types as if they were in a header.
  target_compile_options(muster_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

# muster_cc_library(NAME [SRCS ...] [DEPS ...])   headers are found from the root of the project
# A source with its own compile options (set_source_files_properties) is compiled by itself.
function(muster_cc_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE muster_warnings)
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
  endif()
endfunction()

# muster_cc_binary(NAME [SRCS ...] [DEPS ...])   is put into bin/ of the build folder
function(muster_cc_binary name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} muster_warnings)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin UNITY_BUILD OFF)
endfunction()

# The places of this checkout, for the few tests that read its files or start its programs. In a header and not in the
# command line, so that all other tests compile the same in every checkout and come from one compiler cache.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/test_paths/test_paths.h CONTENT [[
#pragma once
#define MUSTER_SOURCE_DIR "@PROJECT_SOURCE_DIR@"
#define MUSTER_BINARY_DIR "@PROJECT_BINARY_DIR@/bin"
]] @ONLY)

# muster_cc_test(NAME LABEL label [SRCS ...] [DEPS ...])   each TEST becomes a test of ctest
function(muster_cc_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SRCS;DEPS" ${ARGN})
  if(NOT MUSTER_TESTS)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SRCS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main muster_warnings)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_include_directories(${name} PRIVATE ${PROJECT_BINARY_DIR}/test_paths)
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  # Makes MKL round the same way for any alignment of its operands, as in every rank (worker/rank/main.cc).
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "MKL_CBWR=AUTO,STRICT"
    # The same as in ranks: spinning threads are very slow while other tests run.
    ENVIRONMENT_MODIFICATION "OMP_WAIT_POLICY=set:passive")
endfunction()
