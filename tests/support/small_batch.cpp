#include "tests/support/small_batch.h"

#include <ATen/ATen.h>

#include "tests/support/small_model.h"

namespace granule {

Batch small_batch(int64_t step, int64_t first, int64_t count, bool with_padding) {
  const auto vocab_size = small_config().vocab_size;
  const auto token_BS =
      some_tokens({kSmallRows, kSmallLength + 1}, vocab_size, static_cast<uint64_t>(100 + step));
  auto mask_BS = at::ones({kSmallRows, kSmallLength}, at::kBool);
  auto segment_BS = at::zeros({kSmallRows, kSmallLength}, at::kLong);
  if (with_padding) {
    mask_BS[kSmallRows - 1].narrow(0, 1, kSmallLength - 1).fill_(false);
    segment_BS[kSmallRows - 1].narrow(0, 1, kSmallLength - 1).fill_(-1);
    segment_BS[0].narrow(0, 3, kSmallLength - 3).fill_(1);
  }
  const auto rows = [&](const at::Tensor& all) { return all.narrow(0, first, count).contiguous(); };
  return {rows(token_BS.narrow(1, 0, kSmallLength)), rows(token_BS.narrow(1, 1, kSmallLength)), rows(mask_BS),
          rows(segment_BS)};
}

}  // namespace granule
