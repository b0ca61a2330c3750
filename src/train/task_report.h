#pragma once
// What an evaluation task is given and what it answers.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/tokenizer.h"
#include "model/transformer.h"
#include "train/likelihood.h"

namespace granule {

/// Who is examined.
struct Examinee {
  const Transformer& model;
  Communicator& replica;  ///< data x expert: the ranks that share the work
  Tokenizer& tokenizer;
  ScoringLimits limits;
  int64_t max_tokens = 256;             ///< of an answer that it writes
  std::vector<int64_t> stop_ids = {};   ///< tokens that end such an answer
  std::vector<std::string> stops = {};  ///< texts that end it, and are no part of it
};

struct TaskReport {
  nlohmann::ordered_json metrics;               ///< name -> number, or null where it is not defined
  std::vector<nlohmann::ordered_json> samples;  ///< one for each example: what its score comes from
};

/// Adds the mean as `name` and its standard error, sample deviation / sqrt(n), as `name`_stderr; null for one
/// value. There must be a value.
void add_mean(nlohmann::ordered_json& metrics, const std::string& name, const std::vector<double>& values);

}  // namespace granule
