#include "train/answer_task.h"

#include <algorithm>

#include "base/check.h"
#include "data/regex.h"
#include "data/task_examples.h"
#include "data/text_stream.h"
#include "train/batch_generator.h"

namespace granule {

namespace {

constexpr std::string_view kMark = "#### ";
constexpr const char* kNoAnswer = "[invalid]";

// The queries; of those that leave no room for an answer the end.
std::vector<std::vector<int64_t>> prompts_of(const Examinee& examinee, const std::string& path,
                                             const std::vector<TargetExample>& examples) {
  const int64_t room = examinee.limits.max_length - examinee.max_tokens;
  if (room < 1) {
    throw ConfigError("max-tokens", examinee.max_tokens, "must be below the ", examinee.limits.max_length,
                      " tokens that the model reads at once");
  }
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& example : examples) {
    auto ids = examinee.tokenizer.encode_prompt(example.query);
    if (ids.empty()) throw InputError(path, "example ", prompts.size() + 1, ": the query is empty");
    check_ids(ids, examinee.model.config().vocab_size, examinee.tokenizer);
    const auto excess = static_cast<int64_t>(ids.size()) - room;
    if (excess > 0) ids.erase(ids.begin(), ids.begin() + excess);
    prompts.push_back(std::move(ids));
  }
  return prompts;
}

// Stop texts that are tokens may be special ones, which the text of an answer leaves out.
std::vector<int64_t> stop_ids_of(const Examinee& examinee) {
  auto ids = examinee.stop_ids;
  for (const auto& stop : examinee.stops) {
    if (const auto id = examinee.tokenizer.find_added(stop)) ids.push_back(*id);
  }
  return ids;
}

// Where the first of the stop texts begins, or the end.
size_t end_of_answer(const std::string& text, const std::vector<std::string>& stops) {
  size_t end = text.size();
  for (const auto& stop : stops) end = std::min(end, text.find(stop));
  return end;
}

std::vector<std::string> answers_of(const Examinee& examinee,
                                    const std::vector<std::vector<int64_t>>& prompts) {
  BatchGeneration generation{.sampling = {.temperature = 0, .max_tokens = examinee.max_tokens},
                             .batch_size = examinee.limits.batch_size,
                             .stop_ids = stop_ids_of(examinee),
                             .goes_on = {}};
  generation.goes_on = [&](size_t, const std::vector<int64_t>& answer) {
    const auto text = readable_text(examinee.tokenizer, answer);
    return end_of_answer(text, examinee.stops) == text.size();
  };
  std::vector<std::string> texts;
  for (const auto& ids : generate_all(examinee.model, examinee.replica, prompts, generation)) {
    auto text = readable_text(examinee.tokenizer, ids);
    text.resize(end_of_answer(text, examinee.stops));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

std::string strict_answer(const std::string& text) {
  static const Regex pattern("#### -?[0-9.,]+");
  const auto matches = pattern.find_all(text);
  if (matches.empty()) return kNoAnswer;
  const auto [begin, end] = matches.front();
  return text.substr(begin + kMark.size(), end - begin - kMark.size());
}

std::string flexible_answer(const std::string& text) {
  static const Regex pattern("-?[$0-9.,]{2,}|-?[0-9]+");
  const auto matches = pattern.find_all(text);
  if (matches.empty()) return kNoAnswer;
  const auto [begin, end] = matches.back();
  return text.substr(begin, end - begin);
}

std::string normalized_answer(std::string text) {
  std::erase_if(text, [](char c) { return c == ',' || c == '$'; });
  if (const auto mark = text.rfind(kMark); mark != std::string::npos) text.erase(0, mark + kMark.size());
  if (text.ends_with('.')) text.pop_back();
  return text;
}

TaskReport run_answer_task(const Examinee& examinee, const std::string& path) {
  const auto examples = read_target_examples(path);
  const auto answers = answers_of(examinee, prompts_of(examinee, path, examples));
  TaskReport report;
  std::vector<double> strict, flexible;
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto target = normalized_answer(examples[i].target);
    const auto is_right = [&](const std::string& answer) {
      return normalized_answer(answer) == target ? 1.0 : 0.0;
    };
    strict.push_back(is_right(strict_answer(answers[i])));
    flexible.push_back(is_right(flexible_answer(answers[i])));
    report.samples.push_back({{"answer", answers[i]},
                              {"target", target},
                              {"exact_match_strict", strict.back()},
                              {"exact_match_flexible", flexible.back()}});
  }
  report.metrics["examples"] = examples.size();
  add_mean(report.metrics, "exact_match_strict", strict);
  add_mean(report.metrics, "exact_match_flexible", flexible);
  return report;
}

}  // namespace granule
