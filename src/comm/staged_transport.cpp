#include "comm/staged_transport.h"

#include <ATen/ATen.h>

namespace granule {

namespace {

// A host tensor like `tensor`, within `buffer`, which grows as needed. Copies between a GPU and pinned memory
// are faster; only CUDA's allocator is known to give such memory.
at::Tensor host_space(const at::Tensor& tensor, at::Tensor& buffer) {
  const auto bytes = static_cast<int64_t>(tensor.nbytes());
  const auto options = at::TensorOptions(at::kCPU);
  if (bytes == 0) return at::empty(tensor.sizes(), options.dtype(tensor.scalar_type()));
  if (!buffer.defined() || buffer.numel() < bytes) {
    buffer = at::empty({bytes}, options.dtype(at::kByte).pinned_memory(tensor.is_cuda()));
  }
  return buffer.narrow(0, 0, bytes).view(tensor.scalar_type()).view(tensor.sizes());
}

at::Tensor host_copy(const at::Tensor& tensor, at::Tensor& buffer) {
  auto host = host_space(tensor, buffer);
  host.copy_(tensor);
  return host;
}

}  // namespace

void StagedTransport::all_reduce(at::Tensor& tensor, Reduction reduction) {
  auto host = host_copy(tensor, sent_);
  if (reduction == Reduction::kSum) {
    group_.all_reduce_sum(host);
  } else {
    group_.all_reduce_max(host);
  }
  tensor.copy_(host);
}

void StagedTransport::all_gather(const at::Tensor& mine, at::Tensor& all) {
  auto host_all = host_space(all, received_);
  const auto place = host_all.view({group_.size(), -1})[group_.rank()].view(mine.sizes());
  place.copy_(mine);
  group_.all_gather(place, host_all);
  all.copy_(host_all);
}

void StagedTransport::reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) {
  const auto host_all = host_copy(all, sent_);
  auto host_mine = host_space(mine, received_);
  group_.reduce_scatter_sum(host_all, host_mine);
  mine.copy_(host_mine);
}

void StagedTransport::all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows,
                                      at::Tensor& received, std::span<const int64_t> receive_rows) {
  const auto host_sent = host_copy(sent, sent_);
  auto host_received = host_space(received, received_);
  group_.all_to_all_rows(host_sent, send_rows, host_received, receive_rows);
  received.copy_(host_received);
}

void StagedTransport::broadcast(at::Tensor& tensor, int root) {
  auto host = host_copy(tensor, sent_);
  group_.broadcast(host, root);
  tensor.copy_(host);
}

}  // namespace granule
