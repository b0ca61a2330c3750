#pragma once
// What was said by whom, and the shapes in which data sets write it down.

#include <string>
#include <vector>

#include "base/config.h"
#include "base/strict_json.h"

namespace granule {

enum class Role { kSystem, kUser, kAssistant };

struct Turn {
  Role role;
  std::string content;
  std::string input = "";  ///< of a user's turn: what the instruction in `content` is about; often empty
};

using Conversation = std::vector<Turn>;

/// Under which keys a data set keeps its turns. All empty: the first of the usual shapes whose keys are
/// there.
struct ConversationKeys {
  std::string messages;
  std::string prompt;
  std::string input;
  std::string completion;
  std::string system;

  void visit(auto&& field) {
    field("messages", messages, {}, "list of turns, each with `role` and `content` (or `from` and `value`)");
    field("prompt", prompt, {}, "what the user says");
    field("input", input, {}, "what the user's instruction is about; may be missing in a line");
    field("completion", completion, {}, "what the assistant answers");
    field("system", system, {}, "what is said to the model beforehand; may be missing in a line");
  }

  /// Throws ConfigError for keys that make no shape.
  void check() const;
};

/// Usual shapes: messages (role, content); conversations (from, value); instruction, input, output; prompt,
/// completion; question, answer; input, output. A `system` may come along with each.
/// Throws InputError naming the field that is missing or wrong.
Conversation read_conversation(const JsonField& line, const ConversationKeys& keys = {});

}  // namespace granule
