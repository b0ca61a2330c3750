# LibTorch as imported targets, from the directory GRANULE_LIBTORCH (the `torch` folder of a wheel or a LibTorch
# archive). Own targets rather than TorchConfig.cmake, which would demand a CUDA toolkit for a CPU build.
#
#   LibTorch::cpu    libtorch_cpu + libc10, and OpenMP with LibTorch's own runtime, so that a process has only one
#   LibTorch::cuda   the above + libtorch_cuda, the CUDA runtime and NCCL, with their headers
#
# LibTorch::cuda needs GRANULE_CUDA_LIBTORCH, the torch directory of a full wheel of the same version with the wheels it
# requires beside it. Libraries are then those of the full wheel for all targets, headers still those of
# GRANULE_LIBTORCH: what a CPU build compiled is not compiled again.

if(NOT GRANULE_LIBTORCH)
  message(FATAL_ERROR "Set GRANULE_LIBTORCH to the torch directory of the pinned wheel; scripts/setup.sh installs it "
                      "and passes the path")
endif()

set(LibTorch_LIB_DIR ${GRANULE_LIBTORCH}/lib)
if(GRANULE_CUDA_LIBTORCH)
  set(LibTorch_LIB_DIR ${GRANULE_CUDA_LIBTORCH}/lib)
endif()

# Looked for anew each time: what is cached would stay that of the environment before.
foreach(found INCLUDE_DIR C10 CPU OMP CUDA C10_CUDA CUDART NCCL)
  unset(LibTorch_${found} CACHE)
endforeach()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${GRANULE_LIBTORCH}/include NO_DEFAULT_PATH)
find_library(LibTorch_C10 c10 PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH)
find_library(LibTorch_CPU torch_cpu PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH)
find_library(LibTorch_OMP NAMES libgomp.so.1 gomp PATHS ${LibTorch_LIB_DIR})

function(libtorch_version torch result)
  set(header ${torch}/include/torch/headeronly/version.h)
  if(EXISTS ${header})
    file(STRINGS ${header} line REGEX "\"[0-9]+\\.[0-9]+\\.[0-9]+\"")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" version "${line}")
    set(${result} ${version} PARENT_SCOPE)
  endif()
endfunction()

libtorch_version(${GRANULE_LIBTORCH} LibTorch_VERSION)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU LibTorch_C10 LibTorch_OMP LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  # libtorch_cpu itself needs cudart and cupti, which lie in wheels beside torch.
  set(nvidia ${LibTorch_LIB_DIR}/../../nvidia)

  add_library(LibTorch::cpu INTERFACE IMPORTED)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  target_compile_options(LibTorch::cpu INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  # By name with -L, not by path: CMake would warn that the compiler has a libgomp of its own.
  target_link_libraries(LibTorch::cpu INTERFACE torch_cpu c10 -l:libgomp.so.1)
  target_link_options(LibTorch::cpu INTERFACE
    -L${LibTorch_LIB_DIR} -Wl,--no-as-needed -Wl,-rpath,${LibTorch_LIB_DIR} -Wl,-rpath-link,${nvidia}/cu13/lib)

  if(GRANULE_CUDA_LIBTORCH)
    libtorch_version(${GRANULE_CUDA_LIBTORCH} cuda_version)
    if(NOT cuda_version VERSION_EQUAL LibTorch_VERSION)
      message(FATAL_ERROR "GRANULE_CUDA_LIBTORCH is torch ${cuda_version}, GRANULE_LIBTORCH ${LibTorch_VERSION}")
    endif()
    find_library(LibTorch_CUDA torch_cuda PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH REQUIRED)
    find_library(LibTorch_C10_CUDA c10_cuda PATHS ${LibTorch_LIB_DIR} NO_DEFAULT_PATH REQUIRED)
    find_library(LibTorch_CUDART libcudart.so.13 PATHS ${nvidia}/cu13/lib NO_DEFAULT_PATH REQUIRED)
    find_library(LibTorch_NCCL libnccl.so.2 PATHS ${nvidia}/nccl/lib NO_DEFAULT_PATH REQUIRED)
    # Of the libraries that torch loads, so that there is one copy of each, with the headers that belong to them.
    set(LibTorch_CUDA_INCLUDE_DIRS ${nvidia}/cu13/include ${nvidia}/nccl/include)
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    target_link_libraries(LibTorch::cuda INTERFACE
      LibTorch::cpu ${LibTorch_CUDA} ${LibTorch_C10_CUDA} ${LibTorch_CUDART} ${LibTorch_NCCL})
    foreach(wheel cu13 nccl cudnn cusparselt nvshmem)
      target_link_options(LibTorch::cuda INTERFACE -Wl,-rpath,${nvidia}/${wheel}/lib)
    endforeach()
  endif()
endif()
