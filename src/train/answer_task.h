#pragma once
// Final answers, as GSM8K asks for them: the model works something out in words, and the number it ends with
// is compared.

#include <string>

#include "train/task_report.h"

namespace granule {

/// What --task calls it.
inline constexpr char kAnswerTask[] = "answer";

/// `path`: JSONL of query and target (data/task_examples); the right number is what stands in the target
/// behind the last "#### ", or all of it. The model goes on from the query greedily until one of the
/// examinee's stop texts. Metrics, each with its standard error: exact_match_strict, the number behind the
/// first "#### " is right; exact_match_flexible, the last number is. Commas, dollar signs and a full stop at
/// the end do not count. Collective over `examinee.replica`.
TaskReport run_answer_task(const Examinee& examinee, const std::string& path);

/// The number behind the first "#### ", or nothing that any target says.
std::string strict_answer(const std::string& text);
/// The last number.
std::string flexible_answer(const std::string& text);
/// As it is compared.
std::string normalized_answer(std::string text);

}  // namespace granule
