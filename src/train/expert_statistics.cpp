#include "train/expert_statistics.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace granule {

ExpertStatistics expert_statistics(std::span<const int64_t> count_E, int64_t num_dropped, double entropy_sum,
                                   int64_t num_tokens) {
  CHECK(!count_E.empty());
  CHECK(num_dropped >= 0 && num_tokens >= 0, num_dropped, " dropped of ", num_tokens, " tokens");
  const int64_t taken = std::accumulate(count_E.begin(), count_E.end(), int64_t{0});
  ExpertStatistics statistics;
  if (taken > 0) {
    const double mean = static_cast<double>(taken) / static_cast<double>(count_E.size());
    const auto busiest = static_cast<double>(*std::max_element(count_E.begin(), count_E.end()));
    statistics.load_imbalance = busiest / mean;
    statistics.max_violation = (busiest - mean) / mean;
  }
  if (num_tokens > 0) statistics.entropy = entropy_sum / static_cast<double>(num_tokens);
  if (num_dropped > 0) {
    statistics.dropped_fraction = static_cast<double>(num_dropped) / static_cast<double>(taken + num_dropped);
  }
  return statistics;
}

}  // namespace granule
