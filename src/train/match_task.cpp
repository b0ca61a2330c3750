#include "train/match_task.h"

#include <cmath>

#include "data/task_examples.h"
#include "train/request_list.h"

namespace granule {

TaskReport run_match_task(const Examinee& examinee, const std::string& path) {
  const auto examples = read_target_examples(path);
  RequestList requests(examinee, path);
  for (const auto& example : examples) {
    requests.begin_example();
    requests.add(example.query, example.target);
  }
  TaskReport report;
  std::vector<double> matches;
  double log_probability = 0;
  for (const auto& answers : requests.score()) {
    const auto& answer = answers.front();
    matches.push_back(answer.greedy ? 1 : 0);
    log_probability += answer.log_probability;
    report.samples.push_back({{"log_probability", answer.log_probability}, {"acc", matches.back()}});
  }
  report.metrics["examples"] = examples.size();
  add_mean(report.metrics, "acc", matches);
  report.metrics["perplexity"] = std::exp(-log_probability / static_cast<double>(examples.size()));
  return report;
}

}  // namespace granule
