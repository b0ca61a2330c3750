#include "comm/mpi_alltoallv.h"

#include <mpi.h>

#include <limits>
#include <vector>

#include "base/check.h"
#include "comm/mpi_communicator.h"
#include "comm/peer_transfers.h"

namespace granule {

namespace {

struct Bytes {
  std::vector<int> counts, offsets;
};

Bytes bytes_of_rows(const at::Tensor& rows, std::span<const int64_t> counts) {
  CHECK(rows.is_contiguous() && rows.nbytes() <= std::numeric_limits<int>::max(), "MPI counts with int");
  const int64_t row = row_bytes(rows);
  Bytes bytes;
  int64_t offset = 0;
  for (const int64_t count : counts) {
    bytes.counts.push_back(static_cast<int>(count * row));
    bytes.offsets.push_back(static_cast<int>(offset));
    offset += count * row;
  }
  return bytes;
}

}  // namespace

void mpi_alltoallv(const at::Tensor& sent, std::span<const int64_t> send_rows, at::Tensor& received,
                   std::span<const int64_t> receive_rows) {
  const auto send = bytes_of_rows(sent, send_rows), receive = bytes_of_rows(received, receive_rows);
  check_mpi(MPI_Alltoallv(sent.const_data_ptr(), send.counts.data(), send.offsets.data(), MPI_BYTE,
                          received.data_ptr(), receive.counts.data(), receive.offsets.data(), MPI_BYTE,
                          MPI_COMM_WORLD),
            "MPI_Alltoallv");
}

}  // namespace granule
