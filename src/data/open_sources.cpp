#include "data/open_sources.h"

#include "base/check.h"
#include "data/blended_source.h"
#include "data/pretraining_source.h"
#include "data/validation_source.h"

namespace granule {

namespace {

DocumentRule document_rule(const DataConfig& config) {
  return {.keep_apart = config.reset_attention_mask, .skip_first_token = config.eod_mask_loss};
}

}  // namespace

std::unique_ptr<SampleSource> open_training_source(const DataConfig& config, int64_t seq_length,
                                                   int64_t vocab_size, uint64_t seed) {
  config.check();
  if (config.train.empty()) throw ConfigError("data.train", "[]", "must name at least one token file");
  std::vector<std::unique_ptr<SampleSource>> sources;
  std::vector<double> num_tokens;
  for (const auto& prefix : config.train) {
    auto source =
        std::make_unique<PretrainingSource>(TokenFile(prefix, vocab_size), seq_length, seed,
                                            join_text("data/", sources.size()), document_rule(config));
    num_tokens.push_back(static_cast<double>(source->num_tokens()));
    sources.push_back(std::move(source));
  }
  if (sources.size() == 1) return std::move(sources.front());
  return std::make_unique<BlendedSource>(std::move(sources),
                                         config.weights.empty() ? num_tokens : config.weights);
}

std::unique_ptr<SampleSource> open_validation_source(const DataConfig& config, int64_t seq_length,
                                                     int64_t vocab_size, int64_t max_samples) {
  if (config.valid.empty()) throw ConfigError("data.valid", "[]", "must name at least one token file");
  std::vector<TokenFile> files;
  for (const auto& prefix : config.valid) files.emplace_back(prefix, vocab_size);
  auto source =
      std::make_unique<ValidationSource>(std::move(files), seq_length, max_samples, document_rule(config));
  if (source->num_samples() == 0) throw InputError(config.valid.front(), "has no token to predict");
  return source;
}

}  // namespace granule
