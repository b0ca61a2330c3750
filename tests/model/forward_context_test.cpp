#include "model/forward_context.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(SequenceLayout, RowsAreSequencesWhosePositionsGoOnFromTheFirst) {
  const auto layout = SequenceLayout::rows(2, 3, 5);
  EXPECT_TRUE(layout.position_BS.equal(at::tensor({5, 6, 7, 5, 6, 7}, at::kLong).view({2, 3})));
  EXPECT_TRUE(layout.sequence_T.equal(at::tensor({0, 0, 0, 1, 1, 1}, at::kLong)));
  EXPECT_TRUE(layout.valid_T.all().item<bool>());
  EXPECT_FALSE(layout.segment_BS.defined());
}

TEST(SequenceLayout, SegmentsRestartPositionsAndPaddingBelongsNowhere) {
  const auto layout = SequenceLayout::from_segments(at::tensor({3, 3, 7, -1, /**/ 7, 7, 7, 3}, at::kLong).view({2, 4}));
  EXPECT_TRUE(layout.position_BS.equal(at::tensor({0, 1, 0, 0, /**/ 0, 1, 2, 0}, at::kLong).view({2, 4})));
  // The same number in another row is another sequence.
  EXPECT_TRUE(layout.sequence_T.equal(at::tensor({0, 0, 1, -1, /**/ 2, 2, 2, 3}, at::kLong)));
  EXPECT_EQ(layout.num_sequences, 4);
  EXPECT_FALSE(layout.valid_T[3].item<bool>());
}

}  // namespace
}  // namespace granule
