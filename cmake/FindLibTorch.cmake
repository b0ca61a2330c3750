# LibTorch as imported targets, from the directory GRANULE_LIBTORCH (the `torch` folder of a wheel or a LibTorch
# archive). Own targets rather than TorchConfig.cmake, which would demand a CUDA toolkit for a CPU build.
#
#   LibTorch::cpu    libtorch_cpu + libc10, and OpenMP with LibTorch's own runtime, so that a process has only one
#   LibTorch::cuda   the above + libtorch_cuda + libc10_cuda; only where the wheel has its CUDA libraries

if(NOT GRANULE_LIBTORCH)
  message(FATAL_ERROR "Set GRANULE_LIBTORCH to the torch directory of the pinned wheel; scripts/setup.sh installs it "
                      "and passes the path")
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${GRANULE_LIBTORCH}/include NO_DEFAULT_PATH)
find_library(LibTorch_C10 c10 PATHS ${GRANULE_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(LibTorch_CPU torch_cpu PATHS ${GRANULE_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(LibTorch_OMP NAMES libgomp.so.1 gomp PATHS ${GRANULE_LIBTORCH}/lib)
find_library(LibTorch_C10_CUDA c10_cuda PATHS ${GRANULE_LIBTORCH}/lib NO_DEFAULT_PATH)
find_library(LibTorch_CUDA torch_cuda PATHS ${GRANULE_LIBTORCH}/lib NO_DEFAULT_PATH)

if(LibTorch_INCLUDE_DIR)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h version_line REGEX "\"[0-9]+\\.[0-9]+\\.[0-9]+\"")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${version_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU LibTorch_C10 LibTorch_OMP LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  # libtorch_cpu itself needs cudart and cupti, which lie in wheels beside torch.
  set(nvidia_lib ${GRANULE_LIBTORCH}/../nvidia/cu13/lib)

  add_library(LibTorch::cpu INTERFACE IMPORTED)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  target_compile_options(LibTorch::cpu INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  # By name with -L, not by path: CMake would warn that the compiler has a libgomp of its own.
  target_link_libraries(LibTorch::cpu INTERFACE torch_cpu c10 -l:libgomp.so.1)
  target_link_options(LibTorch::cpu INTERFACE
    -L${GRANULE_LIBTORCH}/lib -Wl,--no-as-needed -Wl,-rpath,${GRANULE_LIBTORCH}/lib -Wl,-rpath-link,${nvidia_lib})

  if(LibTorch_CUDA)
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu ${LibTorch_CUDA} ${LibTorch_C10_CUDA})
  endif()
endif()
