#include "data/prefetcher.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/token_files.h"

namespace granule {
namespace {

// Counts up; from sample `last` on it fails.
class CountingSource : public SampleSource {
 public:
  explicit CountingSource(int64_t last) : last_(last) {}
  int64_t seq_length() const override { return 2; }
  int64_t num_samples() const override { return kEndless; }
  void read(int64_t index, const SampleRow& row) override {
    if (index >= last_) throw InputError("counting", "sample ", index);
    for (int64_t t = 0; t < 3; ++t) row.token[t] = index;
    for (int64_t t = 0; t < 2; ++t) row.loss_mask[t] = true, row.segment[t] = 0;
  }

 private:
  int64_t last_;
};

Loader counting_loader(int64_t last) {
  return Loader(std::make_unique<CountingSource>(last), 4);
}

TEST(Prefetcher, GivesTheLoadersBatchesInOrder) {
  for (const int64_t depth : {1, 2, 5}) {
    auto loader = counting_loader(1000);
    Prefetcher prefetcher(counting_loader(1000), 7, 1, 2, depth);
    for (int64_t step = 7; step < 60; ++step) {
      EXPECT_TRUE(prefetcher.next().token_BS.equal(loader.load(step, 1, 2).token_BS)) << step;
    }
  }
}

TEST(Prefetcher, ThrowsWhatFailedOnceTheGoodBatchesAreTaken) {
  Prefetcher prefetcher(counting_loader(10), 0, 0, 4);
  prefetcher.next();
  prefetcher.next();
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(input_error_of([&] { prefetcher.next(); }), "counting: sample 10");
  }
}

TEST(Prefetcher, EndsAtOnceHoweverMuchIsPrepared) {
  for (int i = 0; i < 50; ++i) {
    Prefetcher prefetcher(counting_loader(1'000'000), 0, 0, 4, 3);
    for (int taken = 0; taken < i % 4; ++taken) prefetcher.next();
  }
}

}  // namespace
}  // namespace granule
