#include "train/choice_task.h"

#include <algorithm>

#include "data/task_examples.h"
#include "data/utf8.h"
#include "train/request_list.h"

namespace granule {

namespace {

int64_t best_of(const std::vector<double>& scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

// Log-probabilities over the lengths of the choices.
template <class Length>
std::vector<double> per_length(const std::vector<double>& log_probabilities,
                               const std::vector<std::string>& choices, const Length& length) {
  std::vector<double> scores;
  for (size_t i = 0; i < choices.size(); ++i) {
    scores.push_back(log_probabilities[i] / static_cast<double>(length(choices[i])));
  }
  return scores;
}

}  // namespace

TaskReport run_choice_task(const Examinee& examinee, const std::string& path) {
  const auto examples = read_choice_examples(path);
  RequestList requests(examinee, path);
  for (const auto& example : examples) {
    requests.begin_example();
    for (const auto& choice : example.choices) requests.add(example.query, " " + choice);
  }
  const auto answers = requests.score();

  TaskReport report;
  std::vector<double> right, right_per_character, right_per_byte;
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto& example = examples[i];
    std::vector<double> scores;
    for (const auto& answer : answers[i]) scores.push_back(answer.log_probability);
    const auto is_gold = [&](const std::vector<double>& of) {
      return best_of(of) == example.gold ? 1.0 : 0.0;
    };
    right.push_back(is_gold(scores));
    right_per_character.push_back(is_gold(per_length(scores, example.choices, count_characters)));
    right_per_byte.push_back(is_gold(
        per_length(scores, example.choices, [](const std::string& choice) { return choice.size(); })));
    report.samples.push_back({{"log_probabilities", scores},
                              {"gold", example.gold},
                              {"acc", right.back()},
                              {"acc_norm", right_per_character.back()},
                              {"acc_bytes", right_per_byte.back()}});
  }
  report.metrics["examples"] = examples.size();
  add_mean(report.metrics, "acc", right);
  add_mean(report.metrics, "acc_norm", right_per_character);
  add_mean(report.metrics, "acc_bytes", right_per_byte);
  return report;
}

}  // namespace granule
