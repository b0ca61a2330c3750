#include "tests/support/evaluation_files.h"

#include <ATen/ATen.h>

#include "tests/support/chat_files.h"
#include "tests/support/small_model.h"

namespace granule {

Tokenizer evaluation_tokenizer(const DataDirectory& directory, bool begins) {
  const auto file = byte_tokenizer({"<|endoftext|>"}, begins ? "<|endoftext|>" : "");
  return Tokenizer(directory.write_bytes("tokenizer.json", file));
}

ModelConfig byte_model_config() {
  auto config = small_config();
  config.vocab_size = 258;
  return config;
}

Likelihood naive_likelihood(const Transformer& model, const LikelihoodRequest& request, int64_t max_length) {
  auto ids = request.context;
  ids.insert(ids.end(), request.continuation.begin(), request.continuation.end());
  const auto excess = static_cast<int64_t>(ids.size()) - max_length - 1;
  if (excess > 0) ids.erase(ids.begin(), ids.begin() + excess);
  const auto size = static_cast<int64_t>(ids.size());
  const auto token_BS = at::tensor(ids, at::kLong).narrow(0, 0, size - 1).unsqueeze(0);
  const at::NoGradGuard no_grad;
  const auto hidden_SD = model.forward(token_BS, ForwardContext{SequenceLayout::rows(1, size - 1)}).hidden_TD;
  const auto log_probability_SV = at::log_softmax(model.logits(hidden_SD).to(at::kDouble), 1);
  Likelihood result{.greedy = true};
  for (int64_t i = size - static_cast<int64_t>(request.continuation.size()); i < size; ++i) {
    const auto row_V = log_probability_SV[i - 1];
    const int64_t id = ids[static_cast<size_t>(i)];
    result.log_probability += row_V[id].item<double>();
    result.greedy = result.greedy && row_V.argmax().item<int64_t>() == id;
  }
  return result;
}

}  // namespace granule
