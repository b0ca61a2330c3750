#include "train/request_list.h"

#include <stdexcept>

#include "base/check.h"
#include "train/scored_text.h"

namespace granule {

template <class Make>
auto RequestList::checked(const Make& make) const {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw InputError(path_, "example ", first_request_.size(), ": ", error.what());
  }
}

void RequestList::take(LikelihoodRequest request) {
  const int64_t vocab_size = examinee_.model.config().vocab_size;
  check_ids(request.context, vocab_size, examinee_.tokenizer);
  check_ids(request.continuation, vocab_size, examinee_.tokenizer);
  requests_.push_back(std::move(request));
}

void RequestList::add(std::string_view context, std::string_view continuation) {
  take(checked(
      [&] { return request_for(examinee_.tokenizer, context, continuation, examinee_.limits.max_length); }));
}

void RequestList::add_rolling(std::string_view text) {
  auto windows =
      checked([&] { return rolling_requests(examinee_.tokenizer, text, examinee_.limits.max_length); });
  for (auto& window : windows) take(std::move(window));
}

int64_t RequestList::num_scored() const {
  int64_t count = 0;
  for (const auto& request : requests_) count += static_cast<int64_t>(request.continuation.size());
  return count;
}

std::vector<std::vector<Likelihood>> RequestList::score() const {
  const auto answers = granule::score(examinee_.model, examinee_.replica, requests_, examinee_.limits);
  std::vector<std::vector<Likelihood>> by_example;
  for (size_t i = 0; i < first_request_.size(); ++i) {
    const size_t end = i + 1 < first_request_.size() ? first_request_[i + 1] : answers.size();
    by_example.emplace_back(answers.begin() + static_cast<int64_t>(first_request_[i]),
                            answers.begin() + static_cast<int64_t>(end));
  }
  return by_example;
}

}  // namespace granule
