# Arrow and Parquet for C++ as PyPI's pyarrow ships them, in ${MUSTER_DEPS}/pyarrow (deploy/bootstrap). Defines
#   MUSTER_PARQUET  ON where both are installed
#   muster_arrow    both libraries, with their headers. Only for separate programs (docs/decisions/0057): libparquet
#                   exports names of libcrypto and of simdjson, which would hide those of gRPC and of the data server.
set(_arrow "${MUSTER_DEPS}/pyarrow/pyarrow")
set(MUSTER_PARQUET OFF)
file(GLOB _arrow_libraries "${_arrow}/libarrow.so.*" "${_arrow}/libparquet.so.*")
list(LENGTH _arrow_libraries _count)
if(_count EQUAL 2 AND EXISTS "${_arrow}/include/parquet/arrow/reader.h")
  set(MUSTER_PARQUET ON)
  add_library(muster_arrow INTERFACE)
  target_include_directories(muster_arrow SYSTEM INTERFACE "${_arrow}/include")
  target_link_libraries(muster_arrow INTERFACE ${_arrow_libraries})
else()
  message(STATUS "muster-parquet is left out: ${_arrow} is missing. Imports refuse Parquet. deploy/bootstrap installs it.")
endif()
