#include "train/text_generator.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"

namespace granule {

TextGenerator::TextGenerator(const Transformer& model, Communicator& ranks, int64_t capacity)
    : model_(model), ranks_(ranks), cache_(model.make_cache(1, capacity)) {}

at::Tensor TextGenerator::read_prompt(const std::vector<int64_t>& prompt) {
  // The last token is computed in any case: its logits are what is wanted.
  const auto common =
      std::mismatch(seen_.begin(), seen_.end(), prompt.begin(), prompt.end() - 1).first - seen_.begin();
  cache_.shorten(0, common);
  const std::vector<int64_t> rest(prompt.begin() + common, prompt.end());
  seen_ = prompt;
  const auto count = static_cast<int64_t>(rest.size());
  return model_.next_logits(at::tensor(rest, at::kLong).unsqueeze(0), {{count}}, cache_);
}

void TextGenerator::generate(const std::vector<int64_t>& prompt, const SamplingConfig& config,
                             std::span<const int64_t> stop_ids,
                             const std::function<bool(int64_t)>& on_token) {
  CHECK(!prompt.empty());
  const auto room = cache_.capacity() - static_cast<int64_t>(prompt.size());
  CHECK(room >= 0, "a prompt of ", prompt.size(), " tokens, capacity ", cache_.capacity());
  const int64_t max_tokens = std::min(config.max_tokens, room);
  if (max_tokens == 0) return;
  Sampler sampler(config);
  auto logit_BV = read_prompt(prompt);
  for (int64_t n = 1;; ++n) {
    // Rank 0 chooses and says whether that was the end.
    auto choice = at::zeros({2}, at::kLong);
    if (ranks_.rank() == 0) {
      const int64_t id = sampler.choose(logit_BV[0]);
      const bool stops = std::ranges::find(stop_ids, id) != stop_ids.end();
      choice[0] = id;
      choice[1] = stops || !on_token(id) || n == max_tokens;
    }
    ranks_.broadcast(choice, 0);
    if (choice[1].item<int64_t>() != 0) return;
    seen_.push_back(choice[0].item<int64_t>());
    logit_BV = model_.next_logits(choice.narrow(0, 0, 1).unsqueeze(0), {{1}}, cache_);
  }
}

}  // namespace granule
