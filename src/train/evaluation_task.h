#pragma once
// The tasks of `granule eval` beside the loss on token files: each examines a model on one file of examples,
// with the metrics of lm-evaluation-harness.

#include <string>
#include <vector>

#include "train/task_report.h"

namespace granule {

/// What --task knows beside the loss.
std::vector<std::string> task_names();

/// Every rank gets the same report. Throws InputError for a file that holds no examples of this task.
/// Collective over `examinee.replica`.
TaskReport run_task(const std::string& name, const Examinee& examinee, const std::string& path);

}  // namespace granule
