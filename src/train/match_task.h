#pragma once
// Greedy match, as LAMBADA asks it: would the model, always choosing the likeliest token, write the target?

#include <string>

#include "train/task_report.h"

namespace granule {

/// `path`: JSONL of query and target (data/task_examples); the target follows the query as it is, so it
/// usually begins with a space. Metrics: acc, with its standard error; perplexity, e to the mean of the
/// targets' negative log-probabilities. Collective over `examinee.replica`.
TaskReport run_match_task(const Examinee& examinee, const std::string& path);

}  // namespace granule
