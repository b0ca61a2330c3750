#include "data/conversation.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"

namespace granule {

namespace {

using Json = nlohmann::json;

const std::vector<ConversationKeys>& usual_shapes() {
  static const std::vector<ConversationKeys> kShapes = {
      {.messages = "messages", .system = "system"},
      {.messages = "conversations", .system = "system"},
      {.prompt = "instruction", .input = "input", .completion = "output", .system = "system"},
      {.prompt = "prompt", .completion = "completion", .system = "system"},
      {.prompt = "question", .completion = "answer", .system = "system"},
      {.prompt = "input", .completion = "output", .system = "system"},
  };
  return kShapes;
}

Role read_role(const JsonField& field) {
  const auto name = field.text();
  if (name == "system") return Role::kSystem;
  if (name == "user" || name == "human") return Role::kUser;
  if (name == "assistant" || name == "gpt") return Role::kAssistant;
  field.refuse(join_text("is \"", name, "\", expected system, user (human) or assistant (gpt)"));
}

bool is_empty(const Json& value) {
  return value.empty() || value == "";
}
bool is_one(const Json& value) {
  return value == 1;
}
bool is_true(const Json& value) {
  return value == true;
}
bool is_no_list(const Json& value) {
  return !value.is_array() || value.empty();
}

void refuse_unless(bool (*changes_nothing)(const Json&), const JsonField& object, const char* key) {
  const auto field = object.find(key);
  if (field && !changes_nothing(field->value())) field->refuse("is not supported; leave it out");
}

// What an answer may say of how it is to be learned, and nobody here would follow.
void check_answer(const JsonField& message) {
  refuse_unless(is_empty, message, "tool_calls");
  refuse_unless(is_empty, message, "function_call");
  refuse_unless(is_one, message, "weight");
  refuse_unless(is_true, message, "train");
}

Conversation read_messages(const JsonField& messages) {
  Conversation turns;
  for (const auto& message : messages.items()) {
    const bool by_from = !message.find("role") && message.find("from");
    const auto role = message[by_from ? "from" : "role"];
    const auto speaker = read_role(role);
    if (speaker == Role::kAssistant) check_answer(message);
    turns.push_back({speaker, message[by_from ? "value" : "content"].text()});
    if (turns.back().role == Role::kSystem && turns.size() > 1) {
      role.refuse("is \"system\", which only the first turn can be");
    }
  }
  return turns;
}

std::string optional_text(const JsonField& line, const std::string& key) {
  return key.empty() ? "" : line.text_or(key, "");
}

Conversation read_pair(const JsonField& line, const ConversationKeys& keys) {
  refuse_unless(is_no_list, line, "history");
  return {{Role::kUser, line[keys.prompt].text(), optional_text(line, keys.input)},
          {Role::kAssistant, line[keys.completion].text()}};
}

std::string names_in(const JsonField& line) {
  std::vector<std::string> names;
  for (const auto& [name, value] : line.value().items()) names.push_back(name);
  return names.empty() ? "nothing" : join(names, ", ");
}

const ConversationKeys& shape_of(const JsonField& line) {
  for (const auto& shape : usual_shapes()) {
    if (line.find(shape.messages.empty() ? shape.prompt : shape.messages)) return shape;
  }
  line.refuse(join_text(
      "has ", names_in(line),
      ", none of the usual shapes (messages; conversations; instruction, output; prompt, completion; "
      "question, answer; input, output); name its keys in data.chat.keys"));
}

}  // namespace

void ConversationKeys::check() const {
  const bool has_pair = !prompt.empty() && !completion.empty();
  const bool has_part = !(prompt.empty() && completion.empty() && input.empty());
  if (!messages.empty() && has_part) {
    throw ConfigError("data.chat.keys.messages", messages,
                      "holds all turns; only data.chat.keys.system has a place beside it");
  }
  if (messages.empty() && (has_part || !system.empty()) && !has_pair) {
    throw ConfigError("data.chat.keys.prompt", join_text('"', prompt, '"'),
                      "and data.chat.keys.completion = \"", completion, "\" must both be given");
  }
}

Conversation read_conversation(const JsonField& line, const ConversationKeys& keys) {
  const auto& shape = keys.messages.empty() && keys.prompt.empty() ? shape_of(line) : keys;
  auto turns = shape.messages.empty() ? read_pair(line, shape) : read_messages(line[shape.messages]);
  const auto system = optional_text(line, shape.system);
  if (system.empty()) return turns;
  if (!turns.empty() && turns.front().role == Role::kSystem) {
    line[shape.system].refuse(
        join_text("stands beside a system turn in ", shape.messages, "; one of them must go"));
  }
  turns.insert(turns.begin(), Turn{Role::kSystem, system});
  return turns;
}

}  // namespace granule
