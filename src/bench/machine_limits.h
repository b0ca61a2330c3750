#pragma once
// What this machine can do at best, measured: the figures that a benchmark's shares refer to.

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace granule {

/// All threads of this rank together.
struct MachineLimits {
  int num_threads = 1;
  double fp32_flops = 0;  ///< multiply-adds of the kernels' instruction set from registers, per second
  double bf16_flops = 0;
  double read_bytes = 0;  ///< from memory, per second
  double copy_bytes = 0;  ///< read and written, both counted

  /// Of products of that precision.
  double flops(bool bf16) const { return bf16 ? bf16_flops : fp32_flops; }
};

/// Takes some two seconds. Ranks that share a machine measure at the same time, each its share.
MachineLimits measure_machine_limits();

/// FLOPs per second of a product of two square matrices of `size` rows by LibTorch: what a GPU reaches where
/// nothing is in the way.
double measure_matrix_flops(at::Device device, at::ScalarType dtype, int64_t size = 8192);

}  // namespace granule
