#include "model/forward_context.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"

namespace granule {

SequenceLayout SequenceLayout::rows(int64_t batch, int64_t length, int64_t first_position) {
  SequenceLayout layout;
  layout.batch = batch;
  layout.length = length;
  layout.position_BS =
      at::arange(first_position, first_position + length, at::kLong).expand({batch, length}).contiguous();
  layout.valid_T = at::ones({batch * length}, at::kBool);
  layout.sequence_T = at::arange(batch, at::kLong).repeat_interleave(length);
  layout.num_sequences = batch;
  layout.end_position = first_position + length;
  return layout;
}

SequenceLayout SequenceLayout::from_segments(const at::Tensor& segment_BS) {
  const auto [B, S] = get_shape<2>(segment_BS);
  SequenceLayout layout;
  layout.batch = B;
  layout.length = S;
  layout.segment_BS = segment_BS.contiguous();
  layout.position_BS = at::zeros({B, S}, at::kLong);
  layout.sequence_T = at::full({B * S}, -1, at::kLong);
  layout.end_position = 1;  // padding stands at position 0
  const auto* segment = layout.segment_BS.data_ptr<int64_t>();
  auto* position = layout.position_BS.data_ptr<int64_t>();
  auto* sequence = layout.sequence_T.data_ptr<int64_t>();
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t s = 0; s < S; ++s) {
      const int64_t i = b * S + s;
      if (segment[i] < 0) continue;
      const bool begins = s == 0 || segment[i] != segment[i - 1];
      if (begins) ++layout.num_sequences;
      position[i] = begins ? 0 : position[i - 1] + 1;
      layout.end_position = std::max(layout.end_position, position[i] + 1);
      sequence[i] = layout.num_sequences - 1;
    }
  }
  layout.valid_T = layout.sequence_T.ge(0);
  return layout;
}

SequenceLayout SequenceLayout::to(at::Device device) const {
  auto moved = *this;
  for (auto* tensor :
       {&moved.position_BS, &moved.segment_BS, &moved.valid_T, &moved.sequence_T, &moved.token_T}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  return moved;
}

}  // namespace granule
