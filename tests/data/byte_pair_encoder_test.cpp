#include "data/byte_pair_encoder.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/random.h"

namespace granule {
namespace {

// Merges the pair of lowest rank, leftmost first, one at a time, looking at every pair again each time.
std::vector<int64_t> naive_encode(const std::vector<MergeRule>& rules, const std::string& piece) {
  std::vector<int64_t> ids(piece.begin(), piece.end());
  while (true) {
    size_t best_rank = rules.size();
    size_t best_place = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (rules[rank].left == ids[i] && rules[rank].right == ids[i + 1]) {
          best_rank = rank;
          best_place = i;
        }
      }
    }
    if (best_rank == rules.size()) return ids;
    ids[best_place] = rules[best_rank].merged;
    ids.erase(ids.begin() + static_cast<int64_t>(best_place) + 1);
  }
}

// Rules over "abc" that grow at random from words to longer words.
struct RandomVocabulary {
  TextMap<int32_t> ids;
  std::vector<MergeRule> rules;

  explicit RandomVocabulary(uint64_t seed) {
    std::vector<std::string> words{"a", "b", "c"};
    for (const auto& word : words) ids[word] = word[0];
    const RandomStream stream(seed, "rules");
    for (uint64_t i = 0; i < 40; ++i) {
      const auto left = words[stream.below(words.size(), 2 * i)];
      const auto right = words[stream.below(words.size(), 2 * i + 1)];
      if (left.size() + right.size() > 6) continue;
      const bool known = std::any_of(rules.begin(), rules.end(), [&](const MergeRule& rule) {
        return rule.left == ids[left] && rule.right == ids[right];
      });
      if (known) continue;
      const auto [entry, added] = ids.emplace(left + right, 256 + static_cast<int32_t>(ids.size()));
      if (added) words.push_back(left + right);
      rules.push_back({ids[left], ids[right], entry->second});
    }
  }
};

TEST(BytePairEncoder, MergesLikeTheNaiveLoop) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const RandomVocabulary vocabulary(seed);
    BytePairEncoder encoder(vocabulary.ids, vocabulary.rules, false);
    for (uint64_t n = 0; n < 40; ++n) {
      const RandomStream stream(seed, "piece" + std::to_string(n));
      std::string piece;
      for (uint64_t i = 0; i <= n * 2; ++i) piece += static_cast<char>('a' + stream.below(3, i));
      const auto expected = naive_encode(vocabulary.rules, piece);
      for (int again = 0; again < 2; ++again) {
        std::vector<int64_t> ids;
        encoder.encode(piece, ids);
        ASSERT_EQ(ids, expected) << seed << " " << piece;
      }
    }
  }
}

TEST(BytePairEncoder, TakesKnownPiecesWholeIfTold) {
  const TextMap<int32_t> ids{{"a", 0}, {"b", 1}, {"ab", 2}};
  std::vector<int64_t> merged;
  BytePairEncoder(ids, {}, false).encode("ab", merged);
  EXPECT_EQ(merged, (std::vector<int64_t>{0, 1}));
  std::vector<int64_t> whole;
  BytePairEncoder(ids, {}, true).encode("ab", whole);
  EXPECT_EQ(whole, (std::vector<int64_t>{2}));
}

TEST(BytePairEncoder, CutsIntoCharactersAndStandsInForUnknownOnes) {
  const TextMap<int32_t> vocabulary{{"<unk>", 0}, {"é", 1}, {"a", 2}, {"éa", 3}};
  UnknownCharacters unknown{.bytes = {}, .token = 0, .fused = false};
  unknown.bytes.fill(-1);
  const auto encoded = [&](const char* text) {
    std::vector<int64_t> ids;
    BytePairEncoder(vocabulary, {{1, 2, 3}}, false, unknown).encode(text, ids);
    return ids;
  };
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(encoded("éaé"), (Ids{3, 1}));
  EXPECT_EQ(encoded("xya日"), (Ids{0, 0, 2, 0}));
  unknown.fused = true;
  EXPECT_EQ(encoded("xya日"), (Ids{0, 2, 0}));
  unknown.bytes['y'] = 7;
  unknown.bytes[0xE6] = 8;  // the first byte of 日 alone is not enough
  EXPECT_EQ(encoded("ya日"), (Ids{7, 2, 0}));
  EXPECT_EQ(encoded("xya"), (Ids{7, 0, 2})) << "as the reference has it";
  unknown.token.reset();
  EXPECT_THROW(encoded("a日"), std::out_of_range);
}

TEST(BytePairEncoder, NamesAByteThatTheVocabularyLacks) {
  BytePairEncoder encoder({{"a", 0}}, {}, false);
  std::vector<int64_t> ids;
  EXPECT_THROW(encoder.encode("ab", ids), std::out_of_range);
}

}  // namespace
}  // namespace granule
