#include "comm/peer_transfers.h"

#include <numeric>

#include "base/check.h"

namespace granule {

namespace {

std::vector<PeerTransfer> in_order(std::span<const int64_t> rows, int first, int stride, int64_t row_bytes) {
  const auto size = static_cast<int>(rows.size());
  std::vector<int64_t> begin(rows.size());
  std::exclusive_scan(rows.begin(), rows.end(), begin.begin(), int64_t{0});
  std::vector<PeerTransfer> transfers;
  for (int step = 0; step < size; ++step) {
    const int peer = (first + (stride * step) % size + size) % size;
    if (rows[peer] > 0) transfers.push_back({peer, begin[peer] * row_bytes, rows[peer] * row_bytes});
  }
  return transfers;
}

}  // namespace

int64_t row_bytes(const at::Tensor& rows) {
  int64_t elements = 1;
  for (int64_t dim = 1; dim < rows.dim(); ++dim) elements *= rows.size(dim);
  return elements * static_cast<int64_t>(rows.element_size());
}

PeerTransfers peer_transfers(int rank, std::span<const int64_t> send_rows,
                             std::span<const int64_t> receive_rows, int64_t row_bytes) {
  CHECK(send_rows.size() == receive_rows.size(), send_rows.size(), " counts sent, ", receive_rows.size(),
        " received");
  if (row_bytes == 0) return {};
  return {in_order(send_rows, rank, 1, row_bytes), in_order(receive_rows, rank, -1, row_bytes)};
}

}  // namespace granule
