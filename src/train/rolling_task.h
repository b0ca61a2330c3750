#pragma once
// How well a model predicts whole texts, comparable between tokenizers: perplexity per word and per byte, and
// bits per byte.

#include <string>

#include "train/task_report.h"

namespace granule {

/// `path`: JSONL of texts, or one text (data/task_examples). Metrics over all texts together:
/// word_perplexity, e to the nats per word (stretches between white space); byte_perplexity, the same per
/// byte of UTF-8; bits_per_byte. Collective over `examinee.replica`.
TaskReport run_rolling_task(const Examinee& examinee, const std::string& path);

}  // namespace granule
