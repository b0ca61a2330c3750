#pragma once
// What models are asked: files of questions, of texts and of prompts.

#include <cstdint>
#include <string>
#include <vector>

namespace granule {

/// {"query": "...", "choices": ["...", ...], "gold": index from 0}
struct ChoiceExample {
  std::string query;
  std::vector<std::string> choices;  ///< two at least, none empty
  int64_t gold = 0;
};

/// {"query": "...", "target": "..."}
struct TargetExample {
  std::string query;
  std::string target;
};

// All throw InputError naming the line and the field, also for a file without any example. Other keys are
// ignored.
std::vector<ChoiceExample> read_choice_examples(const std::string& path);
std::vector<TargetExample> read_target_examples(const std::string& path);
/// The "prompt" of each line of a .jsonl file; each line of any other file. Valid UTF-8, without a byte order
/// mark.
std::vector<std::string> read_prompts(const std::string& path);
/// The "text" of each line of a .jsonl file; any other file is one text. Likewise.
std::vector<std::string> read_texts(const std::string& path);

}  // namespace granule
