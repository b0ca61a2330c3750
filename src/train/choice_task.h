#pragma once
// Multiple choice: which of the answers does the model find likeliest after the question?

#include <string>

#include "train/task_report.h"

namespace granule {

/// `path`: JSONL of query, choices and gold (data/task_examples). Metrics, each with its standard error: acc,
/// the choice of the highest log-probability is the right one; acc_norm, the highest per character;
/// acc_bytes, the highest per byte. A choice follows its query after one space. Of equal ones the first
/// counts. Collective over `examinee.replica`.
TaskReport run_choice_task(const Examinee& examinee, const std::string& path);

}  // namespace granule
