#pragma once
// Who sends what to whom in an exchange of rows: the host's part of an all-to-all of messages.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace granule {

/// Of `rows[i]`, also where there are none.
int64_t row_bytes(const at::Tensor& rows);

/// One message, as one side sees it.
struct PeerTransfer {
  int peer;
  int64_t offset;  ///< in bytes, of the sender's or the receiver's buffer
  int64_t bytes;   ///< above 0
  bool operator==(const PeerTransfer&) const = default;
};

struct PeerTransfers {
  std::vector<PeerTransfer> sends;
  std::vector<PeerTransfer> receives;
};

/// For rank `rank`: its rows lie in its buffers in rank order, `row_bytes` each. Who has no rows for a rank
/// sends nothing, and that rank expects nothing. Every rank begins with itself and goes on with the next one,
/// so that nobody is everybody's first.
PeerTransfers peer_transfers(int rank, std::span<const int64_t> send_rows,
                             std::span<const int64_t> receive_rows, int64_t row_bytes);

}  // namespace granule
