#include "base/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace granule {
namespace {

TEST(NearestWord, FindsSlips) {
  const std::vector<std::string> keys = {"hidden_size", "num_hidden_layers", "lr", "seed", "seq_length"};
  EXPECT_EQ(nearest_word("hiden_size", keys), "hidden_size");
  EXPECT_EQ(nearest_word("hidden-size", keys), "hidden_size");
  EXPECT_EQ(nearest_word("hidden_dim", keys), "hidden_size");
  EXPECT_EQ(nearest_word("layers", keys), "num_hidden_layers");
  EXPECT_EQ(nearest_word("sede", keys), "seed");
  EXPECT_EQ(nearest_word("la", keys), "lr");
}

TEST(NearestWord, PrefersTheFewestEditsThenTheFirst) {
  EXPECT_EQ(nearest_word("abcd", {"abxx", "abcx"}), "abcx");
  EXPECT_EQ(nearest_word("abcd", {"abcy", "abcx"}), "abcy");
  EXPECT_EQ(nearest_word("abcd", {"abce", "abcd"}), "abcd");
}

TEST(NearestWord, IsEmptyForWhatIsNoSlip) {
  EXPECT_EQ(nearest_word("zebra", {"lr", "seed", "hidden_size"}), "");
  EXPECT_EQ(nearest_word("x", {"lr", "k2"}), "");
  EXPECT_EQ(nearest_word("lr", {}), "");
  EXPECT_EQ(nearest_word("", {"lr"}), "");
}

TEST(DidYouMean, IsAHintOrNothing) {
  EXPECT_EQ(did_you_mean("sed", {"seed"}), " (did you mean \"seed\"?)");
  EXPECT_EQ(did_you_mean("zebra", {"seed"}), "");
}

TEST(ShortCount, HasThreeDigitsAndALetter) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(7), "7");
  EXPECT_EQ(short_count(999), "999");
  EXPECT_EQ(short_count(1000), "1.00k");
  EXPECT_EQ(short_count(45210), "45.2k");
  EXPECT_EQ(short_count(456789), "457k");
  EXPECT_EQ(short_count(37.8e6), "37.8M");
  EXPECT_EQ(short_count(16.4e9), "16.4B");
  EXPECT_EQ(short_count(2e12), "2.00T");
  EXPECT_EQ(short_count(-37.8e6), "-37.8M");
}

TEST(ShortCount, RoundsIntoTheNextUnit) {
  EXPECT_EQ(short_count(9.996e3), "10.0k");
  EXPECT_EQ(short_count(99.96e3), "100k");
  EXPECT_EQ(short_count(999499), "999k");
  EXPECT_EQ(short_count(999999), "1.00M");
  EXPECT_EQ(short_count(999.9), "1.00k");
}

TEST(ShortDuration, HasTheTwoLargestUnits) {
  EXPECT_EQ(short_duration(0), "0 s");
  EXPECT_EQ(short_duration(4.4), "4 s");
  EXPECT_EQ(short_duration(59.6), "1 m 00 s");
  EXPECT_EQ(short_duration(125), "2 m 05 s");
  EXPECT_EQ(short_duration(3600), "1 h 00 m");
  EXPECT_EQ(short_duration(93784), "1 d 2 h");
  EXPECT_EQ(short_duration(-3), "0 s");
}

TEST(ShortDuration, OfNoFiniteTimeIsUnknown) {
  EXPECT_EQ(short_duration(std::numeric_limits<double>::infinity()), "unknown");
  EXPECT_EQ(short_duration(std::nan("")), "unknown");
}

TEST(Join, PutsTheSeparatorBetween) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "", "c"}, ", "), "a, , c");
}

TEST(ShapeText, ListsTheSizes) {
  EXPECT_EQ(shape_text({2, 3}), "[2,3]");
  EXPECT_EQ(shape_text({}), "[]");
}

}  // namespace
}  // namespace granule
