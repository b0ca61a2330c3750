#include "tests/support/naive_generation.h"

#include <ATen/ATen.h>

namespace granule {

std::vector<int64_t> naive_continuation(const Transformer& model, std::vector<int64_t> prompt,
                                        int64_t count) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> answer;
  for (int64_t i = 0; i < count; ++i) {
    const auto size = static_cast<int64_t>(prompt.size());
    const auto token_BS = at::tensor(prompt, at::kLong).unsqueeze(0);
    const auto hidden_TD = model.forward(token_BS, ForwardContext{SequenceLayout::rows(1, size)}).hidden_TD;
    answer.push_back(model.logits(hidden_TD.narrow(0, size - 1, 1)).argmax().item<int64_t>());
    prompt.push_back(answer.back());
  }
  return answer;
}

}  // namespace granule
