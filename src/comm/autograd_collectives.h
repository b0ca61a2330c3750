#pragma once
// Collectives that gradients flow through.

#include <ATen/core/Tensor.h>

#include <span>

#include "comm/communicator.h"

namespace granule {

/// Rows of `x` [sum of send_rows, ...] to their ranks as in Communicator::all_to_all_rows; the result is
/// [sum of receive_rows, ...]. Backward sends the gradient rows back, so all ranks of `group` must run it, as
/// they do if the result of each takes part in its loss, rows or not. `group` must outlive the graph.
at::Tensor all_to_all_rows(Communicator& group, const at::Tensor& x, std::span<const int64_t> send_rows,
                           std::span<const int64_t> receive_rows);

}  // namespace granule
