#include "comm/autograd_collectives.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numeric>

namespace granule {

namespace {

using Counts = std::vector<int64_t>;

at::Tensor exchange(Communicator& group, const at::Tensor& x, std::span<const int64_t> send_rows,
                    std::span<const int64_t> receive_rows) {
  RECORD_USER_SCOPE("exchange");
  auto shape = x.sizes().vec();
  shape[0] = std::accumulate(receive_rows.begin(), receive_rows.end(), int64_t{0});
  auto received = at::empty(shape, x.options());
  group.all_to_all_rows(x.contiguous(), send_rows, received, receive_rows);
  return received;
}

struct AllToAllRows : torch::autograd::Function<AllToAllRows> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, Communicator* group,
                            const at::Tensor& x, const Counts& send_rows, const Counts& receive_rows) {
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    context->saved_data["send_rows"] = send_rows;
    context->saved_data["receive_rows"] = receive_rows;
    return exchange(*group, x, send_rows, receive_rows);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    auto& group = *reinterpret_cast<Communicator*>(context->saved_data["group"].toInt());
    const auto send_rows = context->saved_data["send_rows"].toIntVector();
    const auto receive_rows = context->saved_data["receive_rows"].toIntVector();
    return {{}, exchange(group, grads[0], receive_rows, send_rows), {}, {}};
  }
};

}  // namespace

at::Tensor all_to_all_rows(Communicator& group, const at::Tensor& x, std::span<const int64_t> send_rows,
                           std::span<const int64_t> receive_rows) {
  if (group.size() == 1) return x;
  return AllToAllRows::apply(&group, x, Counts(send_rows.begin(), send_rows.end()),
                             Counts(receive_rows.begin(), receive_rows.end()));
}

}  // namespace granule
