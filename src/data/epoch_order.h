#pragma once
// The order of one pass over a token file: documents shuffled and joined, cut into samples, samples shuffled.
// A function of (seed, name, epoch) and the file alone, never of the length of the run.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "data/token_file.h"

namespace granule {

/// Tokens [begin, begin + count) of a file, all of one document.
struct TokenRange {
  int64_t begin;
  int64_t count;
  int64_t document;
};

/// 0 .. count-1, shuffled.
std::vector<int64_t> shuffled_order(uint64_t seed, const std::string& name, int64_t count);

/// The orders of the last two epochs that were read: a batch may reach from one into the next.
template <class Order>
class EpochCache {
 public:
  /// `make(epoch)`, unless it is there. Stays valid for the next call.
  template <class Make>
  const Order& at(int64_t epoch, const Make& make) {
    for (const auto& cached : orders_) {
      if (cached.epoch == epoch) return cached.order;
    }
    if (orders_.size() == 2) orders_.pop_front();
    orders_.push_back({epoch, make(epoch)});
    return orders_.back().order;
  }

 private:
  struct Cached {
    int64_t epoch;
    Order order;
  };

  std::deque<Cached> orders_;  // latest last
};

class EpochOrder {
 public:
  /// Samples have `seq_length` + 1 tokens, the last being the next one's first. `name` tells data sets apart.
  EpochOrder(const TokenFile& file, int64_t seq_length, uint64_t seed, const std::string& name,
             int64_t epoch);

  /// Samples in every epoch of a file; what is left over at its end waits for another epoch's order.
  static int64_t num_samples(const TokenFile& file, int64_t seq_length);

  /// Where the tokens of a sample lie, in reading order; counts sum to seq_length + 1, none is 0.
  std::vector<TokenRange> sample(int64_t index) const;

 private:
  const TokenFile& file_;
  int64_t seq_length_;
  std::vector<int64_t> documents_;
  std::vector<int64_t> document_end_;  // in the joined text
  std::vector<int64_t> samples_;
};

}  // namespace granule
