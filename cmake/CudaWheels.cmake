# The CUDA compiler, cudart and NCCL of the wheels that deploy/bootstrap unpacks; never a toolkit of the machine.
# Defines, where the compiler, libcudart, NCCL and torch's libc10_cuda are all there:
#   MUSTER_CUDA      ON
#   CUDA             the language, with nvcc from ${MUSTER_DEPS}/cuda (CUDA_STANDARD 17: CMake 3.25.1
#                    supports no later one for it)
#   muster_cuda_api  cudart, c10_cuda and NCCL, with their headers
# Needs no GPU, and ignores any CUDA toolkit that is installed on the machine.
set(_cuda "${MUSTER_DEPS}/cuda/nvidia/cu13")
set(MUSTER_CUDA OFF)
find_file(MUSTER_NCCL_HEADER nccl.h HINTS "${MUSTER_DEPS}/cuda/nvidia/nccl" "${LibTorch_ROOT}/nvidia/nccl"
  PATH_SUFFIXES include NO_DEFAULT_PATH)
find_file(MUSTER_NCCL_LIBRARY libnccl.so.2 HINTS "${MUSTER_DEPS}/cuda/nvidia/nccl" "${LibTorch_ROOT}/nvidia/nccl"
  PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_file(MUSTER_C10_CUDA_LIBRARY libc10_cuda.so HINTS "${LibTorch_ROOT}/torch/lib" NO_DEFAULT_PATH)
find_file(MUSTER_CUDART_LIBRARY libcudart.so.13 HINTS "${LibTorch_ROOT}/nvidia/cu13/lib" NO_DEFAULT_PATH)
mark_as_advanced(MUSTER_NCCL_HEADER MUSTER_NCCL_LIBRARY MUSTER_C10_CUDA_LIBRARY MUSTER_CUDART_LIBRARY)

foreach(_need "${_cuda}/bin/nvcc" MUSTER_NCCL_HEADER MUSTER_NCCL_LIBRARY MUSTER_C10_CUDA_LIBRARY
        MUSTER_CUDART_LIBRARY)
  if((DEFINED ${_need} AND NOT ${_need}) OR (NOT DEFINED ${_need} AND NOT EXISTS "${_need}"))
    message(STATUS "libmuster_cuda.so is left out: ${_need} is missing. This build trains only on the CPU. "
      "deploy/bootstrap --tests installs it.")
    return()
  endif()
endforeach()

set(CMAKE_CUDA_COMPILER "${_cuda}/bin/nvcc")
set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100-real)
set(CMAKE_CUDA_FLAGS_INIT "-L${_cuda}/lib")  # the wheels have lib, nvcc looks in lib64
set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
enable_language(CUDA)
set(MUSTER_CUDA ON)

get_filename_component(_nccl_include "${MUSTER_NCCL_HEADER}" DIRECTORY)
get_filename_component(_nccl_lib "${MUSTER_NCCL_LIBRARY}" DIRECTORY)
add_library(muster_cuda_api INTERFACE)
target_include_directories(muster_cuda_api SYSTEM INTERFACE "${_cuda}/include" "${_nccl_include}")
target_link_libraries(muster_cuda_api INTERFACE LibTorch::cpu "${MUSTER_C10_CUDA_LIBRARY}" "${MUSTER_CUDART_LIBRARY}"
  "${MUSTER_NCCL_LIBRARY}")
