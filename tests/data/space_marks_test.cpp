#include "data/space_marks.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(SpaceMarks, ChangesFollowOneAnother) {
  const std::vector<TextChange> changes{{"", "_"}, {" ", "_"}, {"__", "="}};
  EXPECT_EQ(change_text(changes, "a b"), "_a_b");
  EXPECT_EQ(change_text(changes, " a   b "), "=a=_b_");
  EXPECT_EQ(change_text(changes, "a b", /*with_prefix=*/false), "a_b");
  EXPECT_EQ(change_text(changes, ""), "");
  EXPECT_EQ(change_text({}, "a b"), "a b");
}

TEST(SpaceMarks, AMarkStandsBeforeTextThatHasNone) {
  using Prefix = Metaspace::Prefix;
  EXPECT_EQ(mark_spaces({"_", Prefix::kAlways}, "a b", TextBefore::kToken), "_a_b");
  EXPECT_EQ(mark_spaces({"_", Prefix::kAlways}, " a", TextBefore::kToken), "_a");
  EXPECT_EQ(mark_spaces({"_", Prefix::kAlways}, "a", TextBefore::kText), "a");
  EXPECT_EQ(mark_spaces({"_", Prefix::kFirst}, "a", TextBefore::kNothing), "_a");
  EXPECT_EQ(mark_spaces({"_", Prefix::kFirst}, "a", TextBefore::kToken), "a");
  EXPECT_EQ(mark_spaces({"_", Prefix::kNever}, "a b", TextBefore::kNothing), "a_b");
}

}  // namespace
}  // namespace granule
