#include "data/conversation.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/token_files.h"

namespace granule {
namespace {

std::string role_name(Role role) {
  return role == Role::kSystem ? "system" : role == Role::kUser ? "user" : "assistant";
}

const std::string kPlace = "chats.jsonl:7";

// "user: hello | assistant: hi", an input behind a slash.
std::string read(const std::string& line, const ConversationKeys& keys = {}) {
  const auto document = nlohmann::json::parse(line);
  std::string text;
  for (const auto& turn : read_conversation(JsonField(kPlace, document), keys)) {
    text += (text.empty() ? "" : " | ") + role_name(turn.role) + ": " + turn.content;
    if (!turn.input.empty()) text += " / " + turn.input;
  }
  return text;
}

TEST(Conversation, ReadsTheUsualShapes) {
  EXPECT_EQ(read(R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                                  {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"}]})"),
            "system: s | user: u | assistant: a | user: v");
  EXPECT_EQ(read(R"({"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]})"),
            "user: u | assistant: a");
  EXPECT_EQ(read(R"({"system": "s", "conversations": [{"from": "human", "value": "u"}]})"),
            "system: s | user: u");
  EXPECT_EQ(read(R"({"messages": [{"role": "user", "content": "u"}], "system": "s"})"),
            "system: s | user: u");
  EXPECT_EQ(read(R"({"system": "", "messages": [{"role": "system", "content": "s"}]})"), "system: s");
  EXPECT_EQ(read(R"({"instruction": "u", "input": "x", "output": "a"})"), "user: u / x | assistant: a");
  EXPECT_EQ(read(R"({"instruction": "u", "input": "", "output": "a"})"), "user: u | assistant: a");
  EXPECT_EQ(read(R"({"instruction": "u", "output": "a", "system": "s"})"),
            "system: s | user: u | assistant: a");
  EXPECT_EQ(read(R"({"prompt": "u", "completion": "a"})"), "user: u | assistant: a");
  EXPECT_EQ(read(R"({"question": "u", "answer": "a"})"), "user: u | assistant: a");
  EXPECT_EQ(read(R"({"input": "u", "output": "a"})"), "user: u | assistant: a");
}

TEST(Conversation, ReadsTheKeysThatAreNamed) {
  const std::string line = R"({"question": "q", "Q": "u", "A": "a", "about": "x", "talk": [
                               {"role": "user", "content": "m"}]})";
  EXPECT_EQ(read(line, {.prompt = "Q", .completion = "A"}), "user: u | assistant: a");
  EXPECT_EQ(read(line, {.prompt = "Q", .input = "about", .completion = "A", .system = "none"}),
            "user: u / x | assistant: a");
  EXPECT_EQ(read(line, {.messages = "talk"}), "user: m");
  EXPECT_EQ(read(line, {.messages = "talk", .system = "about"}), "system: x | user: m");
}

TEST(Conversation, SaysWhatIsWrongWithALine) {
  const auto expect_error = [](const std::string& line, const std::string& part,
                               const ConversationKeys& keys = {}) {
    const auto error = input_error_of([&] { read(line, keys); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_TRUE(error.starts_with(kPlace)) << error;
  };
  expect_error("3", "is 3, expected an object");
  expect_error(R"({"text": "x", "id": 1})", "has id, text, none of the usual shapes");
  expect_error(R"({"instruction": "u"})", "has no \"output\"");
  expect_error(R"({"question": "u", "answer": 4})", "field answer is 4, expected text");
  expect_error(R"({"question": "u"})", "has no \"reply\"", {.prompt = "question", .completion = "reply"});
  expect_error(R"({"messages": "x"})", "field messages is \"x\", expected an array");
  expect_error(R"({"messages": [{"role": "user"}]})", "field messages[0] has no \"content\"");
  expect_error(R"({"messages": [{"content": "u"}]})", "field messages[0] has no \"role\"");
  expect_error(R"({"messages": [{"role": "user", "content": null}]})",
               "field messages[0] has no \"content\"");
  expect_error(R"({"messages": [{"role": "tool", "content": "x"}]})",
               "field messages[0].role is \"tool\", expected");
  expect_error(R"({"messages": [{"role": "user", "content": "u"}, {"role": "system", "content": "s"}]})",
               "field messages[1].role is \"system\", which only the first turn can be");
  expect_error(R"({"conversations": [{"from": "system", "value": "s"}], "system": "t"})",
               "field system stands beside a system turn in conversations");
  expect_error(R"({"messages": [{"role": "user", "content": "u"}], "system": 3})",
               "field system is 3, expected text");
  expect_error(R"({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}]})",
               "field messages[0].tool_calls is not supported; leave it out");
  expect_error(R"({"messages": [{"role": "assistant", "content": "a", "weight": 0}]})",
               "field messages[0].weight is not supported");
  expect_error(R"({"messages": [{"role": "assistant", "content": "a", "train": false}]})",
               "field messages[0].train is not supported");
  expect_error(R"({"instruction": "u", "output": "a", "history": [["b", "c"]]})",
               "field history is not supported");
  EXPECT_EQ(
      read(
          R"({"messages": [{"role": "assistant", "content": "a", "weight": 1, "train": true, "tool_calls": []}]})"),
      "assistant: a");
  EXPECT_EQ(read(R"({"instruction": "u", "output": "a", "history": []})"), "user: u | assistant: a");
  // Users' turns are not learned anyway, and columns of lines may mean anything.
  EXPECT_EQ(
      read(R"({"messages": [{"role": "user", "content": "u", "weight": 0, "train": false}], "weight": 0.5})"),
      "user: u");
  EXPECT_EQ(read(R"({"prompt": "u", "completion": "a", "train": "train", "history": "1960s"})"),
            "user: u | assistant: a");
  EXPECT_EQ(read(R"({"history": [{"role": "user", "content": "u"}]})", {.messages = "history"}), "user: u");
}

TEST(Conversation, RefusesKeysThatMakeNoShape) {
  EXPECT_NO_THROW(ConversationKeys{}.check());
  EXPECT_NO_THROW((ConversationKeys{.prompt = "p", .completion = "c"}.check()));
  EXPECT_THROW((ConversationKeys{.prompt = "p"}.check()), ConfigError);
  EXPECT_NO_THROW((ConversationKeys{.messages = "m", .system = "s"}.check()));
  EXPECT_THROW((ConversationKeys{.system = "s"}.check()), ConfigError);
  EXPECT_THROW((ConversationKeys{.messages = "m", .prompt = "p"}.check()), ConfigError);
}

}  // namespace
}  // namespace granule
