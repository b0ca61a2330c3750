#pragma once
// MPI's own exchange of rows, for benchmarks and tests to hold Communicator::all_to_all_rows against.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace granule {

/// MPI_Alltoallv over all ranks of the job, arguments as Communicator::all_to_all_rows; at most 2^31 - 1
/// bytes on a rank. Only where MPI was started.
void mpi_alltoallv(const at::Tensor& sent, std::span<const int64_t> send_rows, at::Tensor& received,
                   std::span<const int64_t> receive_rows);

}  // namespace granule
