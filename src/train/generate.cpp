#include "train/generate.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

Sampler::Sampler(const SamplingConfig& config) : config_(config), stream_(config.seed, "generate") {
  if (!(config.temperature >= 0)) throw ConfigError("temperature", config.temperature, "must be at least 0");
  if (config.top_k < 0) throw ConfigError("top-k", config.top_k, "must be at least 0");
  if (!(config.top_p > 0 && config.top_p <= 1)) throw ConfigError("top-p", config.top_p, "must be in (0, 1]");
}

int64_t Sampler::choose(const at::Tensor& logit_V) {
  if (config_.temperature == 0) return logit_V.argmax().item<int64_t>();
  auto [logit, id] = at::sort(logit_V.to(at::kDouble), /*stable=*/true, /*dim=*/0, /*descending=*/true);
  if (config_.top_k > 0) logit = logit.narrow(0, 0, std::min(config_.top_k, logit.size(0)));
  const auto probability = at::softmax(logit / config_.temperature, 0);
  const auto reached = probability.cumsum(0).contiguous();
  const double* cumulative = reached.data_ptr<double>();

  // The nucleus is the shortest prefix that reaches top_p; its last sum is what a draw is scaled to.
  int64_t last = 0;
  while (last + 1 < reached.numel() && cumulative[last] < config_.top_p) ++last;
  const double draw = stream_.uniform(num_chosen_++) * cumulative[last];
  const auto place = std::upper_bound(cumulative, cumulative + last, draw) - cumulative;
  return id[place].item<int64_t>();
}

void generate(const Transformer& model, Communicator& ranks, const std::vector<int64_t>& prompt, const SamplingConfig& config,
              int64_t stop_id, const std::function<bool(int64_t)>& on_token) {
  CHECK(!prompt.empty());
  Sampler sampler(config);
  GenerationCache cache;
  auto token_BS = at::tensor(prompt, at::kLong).unsqueeze(0);
  for (int64_t n = 0; n < config.max_tokens; ++n) {
    const auto logit_V = model.next_logits(token_BS, cache).squeeze(0);
    token_BS = at::full({1, 1}, sampler.choose(logit_V), at::kLong);
    ranks.broadcast(token_BS, 0);
    const int64_t next = token_BS.item<int64_t>();
    if (next == stop_id || !on_token(next)) return;
  }
}

}  // namespace granule
