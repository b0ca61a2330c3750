#include "model/forward_context.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

at::Tensor ids(at::ArrayRef<int64_t> values) {
  return at::tensor(values, at::kLong);
}

TEST(SequenceLayout, RowsAreWholeSequences) {
  const auto layout = SequenceLayout::rows(2, 3, 5);
  EXPECT_EQ(layout.num_sequences, 2);
  EXPECT_EQ(layout.num_tokens(), 6);
  EXPECT_TRUE(layout.position_BS.flatten().equal(ids({5, 6, 7, 5, 6, 7})));
  EXPECT_TRUE(layout.sequence_T.equal(ids({0, 0, 0, 1, 1, 1})));
  EXPECT_TRUE(layout.valid_T.all().item<bool>());
  EXPECT_FALSE(layout.segment_BS.defined());
}

TEST(SequenceLayout, OfOneRowIsContiguousToo) {
  const auto layout = SequenceLayout::rows(1, 4);
  EXPECT_TRUE(layout.sequence_T.is_contiguous() && layout.position_BS.is_contiguous());
  EXPECT_TRUE(layout.sequence_T.equal(ids({0, 0, 0, 0})));
}

TEST(SequenceLayout, SegmentsAreSequencesOfTheirOwnAndPaddingIsNone) {
  // The same number in another row, or after a gap, is another sequence.
  const auto layout = SequenceLayout::from_segments(ids({4, 4, 7, 7, -1, /**/ 7, -1, 7, 4, 4}).view({2, 5}));
  EXPECT_EQ(layout.num_sequences, 5);
  EXPECT_TRUE(layout.sequence_T.equal(ids({0, 0, 1, 1, -1, /**/ 2, -1, 3, 4, 4})));
  EXPECT_TRUE(layout.position_BS.flatten().equal(ids({0, 1, 0, 1, 0, /**/ 0, 0, 0, 0, 1})));
  EXPECT_TRUE(layout.valid_T.equal(layout.sequence_T.ge(0)));
}

}  // namespace
}  // namespace granule
