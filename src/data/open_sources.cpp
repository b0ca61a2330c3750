#include "data/open_sources.h"

#include <filesystem>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "data/blended_source.h"
#include "data/chat_source.h"
#include "data/chat_template.h"
#include "data/pretraining_source.h"
#include "data/validation_source.h"

namespace granule {

namespace {

DocumentRule document_rule(const DataConfig& config) {
  return {.keep_apart = config.reset_attention_mask, .skip_first_token = config.eod_mask_loss};
}

PackedChats open_chats(const DataConfig& config, const std::vector<std::string>& files, int64_t seq_length,
                       int64_t vocab_size, bool to_train) {
  const auto tokenizer_path = config.tokenizer_path();
  if (!std::filesystem::exists(tokenizer_path)) {
    throw ConfigError("data.tokenizer", tokenizer_path,
                      "must be the tokenizer.json of the model that is trained: conversations are text");
  }
  Tokenizer tokenizer(tokenizer_path);
  if (to_train) ChatTemplate(config.chat, tokenizer).check_spelling();
  auto [examples, counts] = load_chat_examples(files, config.chat, tokenizer, seq_length + 1, vocab_size);
  PackedChats chats(std::move(examples), seq_length, config.chat.packing);
  log_info(join_text(join(files, ", "), ": ", describe(counts, seq_length + 1)));
  log_info(join_text(chats.num_rows(), " rows of ", seq_length + 1, " tokens, ",
                     static_cast<int64_t>(100 * chats.fullness()), "% full"));
  return chats;
}

}  // namespace

std::unique_ptr<SampleSource> open_training_source(const DataConfig& config, int64_t seq_length,
                                                   int64_t vocab_size, uint64_t seed, int64_t num_epochs) {
  config.check();
  if (config.train.empty()) throw ConfigError("data.train", "[]", "must name at least one file");
  if (config.trains_on_chats()) {
    return std::make_unique<ChatTrainingSource>(
        open_chats(config, config.train, seq_length, vocab_size, /*to_train=*/true), seed, num_epochs);
  }
  if (num_epochs > 0) {
    throw ConfigError("train.num_train_epochs", num_epochs,
                      "is for conversations (.jsonl); token files are read for train.train_iters steps");
  }
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
  if (config.valid.empty()) throw ConfigError("data.valid", "[]", "must name at least one file");
  if (config.validates_on_chats()) {
    return std::make_unique<ChatValidationSource>(
        open_chats(config, config.valid, seq_length, vocab_size, /*to_train=*/false), max_samples);
  }
  std::vector<TokenFile> files;
  for (const auto& prefix : config.valid) files.emplace_back(prefix, vocab_size);
  auto source =
      std::make_unique<ValidationSource>(std::move(files), seq_length, max_samples, document_rule(config));
  if (source->num_samples() == 0) throw InputError(config.valid.front(), "has no token to predict");
  return source;
}

}  // namespace granule
