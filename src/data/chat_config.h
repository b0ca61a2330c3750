#pragma once
// How conversations become tokens: section `data.chat` of a config.

#include <string>

#include "base/config.h"
#include "data/conversation.h"

namespace granule {

/// The text around each turn. In braces: {content} and {input}, a turn's own text; {bos}, what the tokenizer
/// puts before a text (nothing for many); {eos}, its end of text; any other name is an added token of the
/// tokenizer, as {<|im_end|>}. {{ and }} are braces.
struct ChatPattern {
  std::string begin;
  std::string system;
  std::string user;
  std::string user_with_input;
  std::string assistant;

  void visit(auto&& field) {
    field("begin", begin, {}, "before everything");
    field("system", system, {}, "a system turn; empty: there can be none");
    field("user", user, {}, "a user turn");
    field("user_with_input", user_with_input, {},
          "a user turn whose instruction comes with an {input}; empty: a blank line joins the two");
    field(
        "assistant", assistant, {},
        "an assistant turn: up to {content} the prompt, from there to the first token in braces the answer");
  }
};

struct ChatConfig {
  std::string chat_template = "deepseek";
  ChatPattern pattern;
  ConversationKeys keys;
  std::string on_bad_line = "stop";
  bool packing = true;

  void visit(auto&& field) {
    field("template", chat_template, {.choices = {"deepseek", "chatml", "alpaca", "custom"}},
          "text around the turns; custom: `pattern`");
    field(
        "pattern", pattern, {},
        "A template of one's own. In braces: {content}, {input}, {bos}, {eos}, or the name of an added token "
        "as {<|im_end|>}; {{ and }} are braces.");
    field("keys", keys, {},
          "Where a line keeps its turns. All empty: the usual shapes (messages; conversations; instruction, "
          "output; "
          "prompt, completion; question, answer; input, output).");
    field("on_bad_line", on_bad_line, {.choices = {"stop", "skip"}},
          "what becomes of a line that is no conversation with an answer");
    field("packing", packing, {}, "several examples in a row, kept apart; false: each has a row of its own");
  }

  /// Throws ConfigError for a pattern that nobody asked for, or keys that make no shape.
  void check() const;
};

}  // namespace granule
