#include "data/task_examples.h"

#include <sstream>

#include "base/check.h"
#include "base/file.h"
#include "data/json_lines.h"
#include "data/utf8.h"

namespace granule {

namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

std::string read_text(const std::string& path) {
  return replace_invalid_utf8(without_byte_order_mark(read_text_file(path, kMaxTextBytes)));
}

template <class Example, class Read>
std::vector<Example> read_examples(const std::string& path, const Read& read) {
  std::vector<Example> examples;
  read_json_lines(path, [&](const JsonField& record) { examples.push_back(read(record)); });
  if (examples.empty()) throw InputError(path, "holds no examples");
  return examples;
}

std::string filled_text(const JsonField& field) {
  auto text = field.text();
  if (text.empty()) field.refuse("is empty");
  return text;
}

ChoiceExample read_choice(const JsonField& record) {
  ChoiceExample example;
  example.query = record["query"].text();
  const auto choices = record["choices"];
  for (const auto& choice : choices.items()) example.choices.push_back(filled_text(choice));
  if (example.choices.size() < 2) choices.refuse("has less than two choices");
  example.gold = record["gold"].integer(0, static_cast<int64_t>(example.choices.size()) - 1);
  return example;
}

}  // namespace

std::vector<ChoiceExample> read_choice_examples(const std::string& path) {
  return read_examples<ChoiceExample>(path, read_choice);
}

std::vector<TargetExample> read_target_examples(const std::string& path) {
  return read_examples<TargetExample>(path, [](const JsonField& record) {
    return TargetExample{record["query"].text(), filled_text(record["target"])};
  });
}

std::vector<std::string> read_prompts(const std::string& path) {
  if (is_json_lines_file(path)) {
    return read_examples<std::string>(path, [](const JsonField& record) { return record["prompt"].text(); });
  }
  std::istringstream text(read_text(path));
  std::vector<std::string> prompts;
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    prompts.push_back(line);
  }
  if (prompts.empty()) throw InputError(path, "holds no prompts");
  return prompts;
}

std::vector<std::string> read_texts(const std::string& path) {
  if (is_json_lines_file(path)) {
    return read_examples<std::string>(path, [](const JsonField& record) { return record["text"].text(); });
  }
  return {read_text(path)};
}

}  // namespace granule
