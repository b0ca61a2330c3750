#include "train/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"

namespace granule {

void check_sampling(const SamplingConfig& config) {
  if (!(config.temperature >= 0)) throw ConfigError("temperature", config.temperature, "must be at least 0");
  if (config.top_k < 0) throw ConfigError("top-k", config.top_k, "must be at least 0");
  if (!(config.top_p > 0 && config.top_p <= 1)) throw ConfigError("top-p", config.top_p, "must be in (0, 1]");
}

Sampler::Sampler(const SamplingConfig& config, size_t text)
    : config_(config), stream_(config.seed, "generate"), next_draw_(static_cast<uint64_t>(text) << 32) {}

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
  const double draw = stream_.uniform(next_draw_++) * cumulative[last];
  const auto place = std::upper_bound(cumulative, cumulative + last, draw) - cumulative;
  return id[place].item<int64_t>();
}

}  // namespace granule
