#include "train/evaluation_task.h"

#include <array>

#include "base/check.h"
#include "train/answer_task.h"
#include "train/choice_task.h"
#include "train/match_task.h"
#include "train/rolling_task.h"

namespace granule {

namespace {

struct Task {
  const char* name;
  TaskReport (*run)(const Examinee&, const std::string& path);
};

constexpr std::array kTasks{Task{"choice", run_choice_task}, Task{"match", run_match_task},
                            Task{"rolling", run_rolling_task}, Task{kAnswerTask, run_answer_task}};

}  // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const auto& task : kTasks) names.emplace_back(task.name);
  return names;
}

TaskReport run_task(const std::string& name, const Examinee& examinee, const std::string& path) {
  for (const auto& task : kTasks) {
    if (task.name == name) return task.run(examinee, path);
  }
  CHECK(false, "no task ", name);
  return {};
}

}  // namespace granule
