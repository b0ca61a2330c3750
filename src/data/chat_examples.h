#pragma once
// Conversations as tokens, all in memory.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/chat_config.h"
#include "data/chat_template.h"
#include "data/tokenizer.h"

namespace granule {

/// Tokenised examples, each ending in the last token that is learned.
class ChatExamples {
 public:
  /// Takes `chat` up to its last learned token, which must not be its first token of all: a label has a token
  /// before it.
  void add(const TemplatedChat& chat);

  int64_t size() const { return static_cast<int64_t>(begin_.size()) - 1; }
  int64_t length(int64_t example) const { return static_cast<int64_t>(end_of(example) - begin_of(example)); }
  std::vector<int64_t> lengths() const;
  std::span<const int32_t> ids(int64_t example) const;
  /// Whether token `position` of an example is learned.
  bool learned(int64_t example, int64_t position) const {
    return learned_[begin_of(example) + static_cast<size_t>(position)];
  }

 private:
  size_t begin_of(int64_t example) const { return begin_[static_cast<size_t>(example)]; }
  size_t end_of(int64_t example) const { return begin_[static_cast<size_t>(example) + 1]; }

  std::vector<int32_t> ids_;  // of all examples, back to back
  std::vector<bool> learned_;
  std::vector<size_t> begin_{0};
};

/// What became of the lines of some files.
struct ChatCounts {
  int64_t num_examples = 0;
  int64_t num_skipped = 0;    ///< broken lines
  int64_t num_truncated = 0;  ///< examples that lost their end
  int64_t num_too_long = 0;   ///< left out: no answer begins in what fits
  int64_t num_tokens = 0;
  int64_t num_learned = 0;
};

struct LoadedChats {
  ChatExamples examples;
  ChatCounts counts;
};

/// All conversations of JSONL `files`, at most `max_tokens` of each, ids below `vocab_size`. Throws
/// InputError for a broken line (see ChatConfig::on_bad_line) with file and line, and if nothing is left;
/// ConfigError for an id that is too large.
LoadedChats load_chat_examples(const std::vector<std::string>& files, const ChatConfig& config,
                               Tokenizer& tokenizer, int64_t max_tokens, int64_t vocab_size);

/// The counts in words.
std::string describe(const ChatCounts& counts, int64_t max_tokens);

}  // namespace granule
