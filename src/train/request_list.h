#pragma once
// The likelihood requests of a file's examples, scored together.

#include <string>
#include <string_view>
#include <vector>

#include "train/likelihood.h"
#include "train/task_report.h"

namespace granule {

class RequestList {
 public:
  /// `path` is named in errors. The examinee must outlive the list.
  RequestList(const Examinee& examinee, std::string path) : examinee_(examinee), path_(std::move(path)) {}

  /// What is added from now on belongs to the next example.
  void begin_example() { first_request_.push_back(requests_.size()); }
  /// See request_for; throws InputError naming file and example, ConfigError for ids that the model lacks.
  void add(std::string_view context, std::string_view continuation);
  /// See rolling_requests.
  void add_rolling(std::string_view text);

  /// Tokens that are scored.
  int64_t num_scored() const;
  /// The answers of each example, in the order of adding. Collective over `examinee.replica`.
  std::vector<std::vector<Likelihood>> score() const;

 private:
  /// Runs `make` and says which example it failed for.
  template <class Make>
  auto checked(const Make& make) const;
  void take(LikelihoodRequest request);

  const Examinee& examinee_;
  std::string path_;
  std::vector<LikelihoodRequest> requests_;
  std::vector<size_t> first_request_;  // of each example
};

}  // namespace granule
