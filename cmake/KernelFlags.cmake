# Each instruction set's kernels are one source file compiled for that set alone; which one runs is decided by the CPU
# at hand (src/ops/isa.h). The precompiled header would bring functions compiled for the wrong set. Unrolled loops under
# the undefined-behaviour sanitizer take minutes to compile; the address sanitizer stays.

function(granule_kernel_flags set)
  set_source_files_properties(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../src/ops/kernels_${set}.cpp PROPERTIES
    SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "-O3;-ffp-contract=fast;-fno-strict-aliasing;-fno-trapping-math;-Wno-psabi;-fno-sanitize=undefined;-Wno-maybe-uninitialized;-Wno-uninitialized;${ARGN}")
endfunction()

granule_kernel_flags(plain)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(avx512 -mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq)
  granule_kernel_flags(avx2 -mavx2 -mfma)
  granule_kernel_flags(avx512 ${avx512})
  granule_kernel_flags(avx512_bf16 ${avx512} -mavx512bf16)
endif()
