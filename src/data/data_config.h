#pragma once
// What a run reads: section `data` of a config.

#include <string>
#include <vector>

#include "data/chat_config.h"

namespace granule {

struct DataConfig {
  std::vector<std::string> train;
  std::vector<double> weights;
  std::vector<std::string> valid;
  std::string tokenizer;
  bool reset_attention_mask = false;
  bool eod_mask_loss = false;
  ChatConfig chat;

  void visit(auto&& field) {
    field("train", train, {},
          "what to train on: token files, each as PREFIX of PREFIX.bin and PREFIX.idx, or conversations, as "
          ".jsonl");
    field("weights", weights, {.min = 0},
          "share of each token file in the samples; empty: by number of tokens");
    field("valid", valid, {}, "what to validate on, likewise; empty: no validation");
    field("tokenizer", tokenizer, {},
          "tokenizer.json; empty: the run's own if it has begun, else the one of checkpoint.load, else the "
          "one beside the first file");
    field("reset_attention_mask", reset_attention_mask, {}, "keep attention inside a document");
    field("eod_mask_loss", eod_mask_loss, {},
          "no loss for guessing a document's first token from the one before it");
    field("chat", chat, {}, "How conversations become tokens.");
  }

  /// Throws ConfigError for combinations that cannot be.
  void check() const;
  /// Throws ConfigError if `tokenizer` names a file that is not there.
  void check_tokenizer() const;
  bool trains_on_chats() const;
  bool validates_on_chats() const;
  /// The tokenizer.json to use; it need not exist. Empty if there is neither a path nor a file.
  std::string tokenizer_path() const;
};

/// Where the tokenizer.json of a file of data lies, if it has one.
std::string tokenizer_beside(const std::string& file);

}  // namespace granule
