#include "train/rolling_task.h"

#include <cmath>
#include <numbers>

#include "base/check.h"
#include "data/task_examples.h"
#include "data/utf8.h"
#include "train/request_list.h"

namespace granule {

namespace {

// White space at an end has an empty word beyond it, as Python's re.split counts.
int64_t count_words(std::string_view text) {
  int64_t words = 1;
  bool in_space = false;
  while (!text.empty()) {
    const auto character = first_character(text);
    const bool space = is_white_space(character.code_point);
    if (space && !in_space) ++words;
    in_space = space;
    text.remove_prefix(character.size);
  }
  return words;
}

}  // namespace

TaskReport run_rolling_task(const Examinee& examinee, const std::string& path) {
  const auto texts = read_texts(path);
  RequestList requests(examinee, path);
  for (const auto& text : texts) {
    requests.begin_example();
    requests.add_rolling(text);
  }
  const auto answers = requests.score();

  TaskReport report;
  double nats = 0, words = 0, bytes = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    double log_probability = 0;
    for (const auto& window : answers[i]) log_probability += window.log_probability;
    nats -= log_probability;
    words += static_cast<double>(count_words(texts[i]));
    bytes += static_cast<double>(texts[i].size());
    report.samples.push_back({{"log_probability", log_probability}, {"bytes", texts[i].size()}});
  }
  if (bytes == 0) throw InputError(path, "holds nothing but empty texts");
  report.metrics["texts"] = texts.size();
  report.metrics["tokens"] = requests.num_scored();
  report.metrics["bytes"] = static_cast<int64_t>(bytes);
  report.metrics["word_perplexity"] = std::exp(nats / words);
  report.metrics["byte_perplexity"] = std::exp(nats / bytes);
  report.metrics["bits_per_byte"] = nats / (bytes * std::numbers::ln2);
  return report;
}

}  // namespace granule
