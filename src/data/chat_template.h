#pragma once
// From turns to tokens: which of them are the assistant's, and where a model is to go on. A template is five
// short texts (ChatPattern); the well-known ones are built in.

#include <cstdint>
#include <string>
#include <vector>

#include "data/chat_config.h"
#include "data/conversation.h"
#include "data/tokenizer.h"

namespace granule {

/// A conversation as tokens.
struct TemplatedChat {
  std::vector<int64_t> ids;
  std::vector<bool> learned;  ///< of each id: part of an answer, its end included
};

/// Text of turns is never read as a token of the template, whatever it says. Text up to a token or to where
/// an answer begins is encoded in one piece, so that ids are those of the whole text in Hugging Face's
/// tokenizers.
class ChatTemplate {
 public:
  /// Throws ConfigError for a pattern that is none, InputError for a token that the tokenizer lacks. The
  /// tokenizer must outlive the template.
  ChatTemplate(const ChatConfig& config, Tokenizer& tokenizer);

  /// Throws ConfigError if text of the pattern is the name of a special token: not what anyone wants to train
  /// on.
  void check_spelling() const;
  /// All turns; throws UserError if the template has no place for one of them.
  TemplatedChat render(const Conversation& turns) const;
  /// The turns and then all that stands before an answer: what a model goes on from. The same ids as `render`
  /// gives before the answer's first.
  std::vector<int64_t> prompt(const Conversation& turns) const;
  /// What a model writes before the content of an answer: a space if the template has one there, for
  /// byte-level vocabularies join it to the word behind it.
  const std::string& answer_lead() const { return answer_lead_; }
  /// The tokens that end an answer.
  const std::vector<int64_t>& stop_ids() const { return stop_ids_; }
  /// The same as a chat template of transformers, whose messages have no separate input.
  std::string jinja() const;

 private:
  struct Part {
    enum class Kind { kText, kTokens, kContent, kInput };
    Kind kind;
    std::string text;
    std::vector<int64_t> ids;
  };
  using Parts = std::vector<Part>;
  class Writer;

  std::string jinja_of(const Parts& parts) const;
  Parts parse(const std::string& name, const std::string& pattern) const;
  static void check_places(const std::string& key, const std::string& pattern, const Parts& parts,
                           int64_t num_contents, int64_t num_inputs);
  /// What {name} in braces stands for.
  Part named_part(const std::string& key, const std::string& name) const;
  std::vector<int64_t> tokens_named(const std::string& key, const std::string& name) const;
  void split_assistant(const std::string& pattern);
  void write_turn(const Turn& turn, Writer& writer) const;
  void write_user(const Turn& turn, Writer& writer) const;

  Tokenizer& tokenizer_;
  Parts begin_;
  Parts system_;
  Parts user_;
  Parts user_with_input_;
  Parts before_answer_;
  Parts answer_;
  Parts after_answer_;
  std::string answer_lead_;
  std::vector<int64_t> stop_ids_;
  std::vector<int64_t> own_tokens_;  // all that the pattern names, and stop_ids_
};

/// Those that data.chat.template knows beside "custom".
std::vector<std::string> built_in_template_names();

}  // namespace granule
