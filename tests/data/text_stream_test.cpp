#include "data/text_stream.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/utf8.h"
#include "tests/support/source_tree.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

Tokenizer gpt2_like(const DataDirectory& directory) {
  const auto path = source_path("tests/data/golden/tokenizer_gpt2.json");
  const auto golden = nlohmann::json::parse(read_bytes(path));
  return Tokenizer(directory.write_bytes("tokenizer.json", golden["tokenizer"].dump()));
}

TEST(TextStream, GivesTheDecodedTextInWholeCharacters) {
  const DataDirectory directory;
  auto tokenizer = gpt2_like(directory);
  const std::string text = "caf\u00e9 \u65e5\u672c\u8a9e \U0001F680\U0001F600 end";
  TextStream stream(tokenizer);
  std::string all;
  bool waited = false;
  for (const auto id : tokenizer.encode(text)) {
    const auto piece = stream.push(id);
    EXPECT_EQ(complete_utf8_size(piece), piece.size());
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    waited |= piece.empty();
    all += piece;
  }
  EXPECT_EQ(all + stream.finish(), text);
  EXPECT_TRUE(waited) << "no token of this text ended inside a character";
}

TEST(TextStream, ReplacesWhatNeverBecomesACharacter) {
  const DataDirectory directory;
  auto tokenizer = gpt2_like(directory);
  const auto rocket = tokenizer.encode("\U0001F680");
  ASSERT_GT(rocket.size(), 1u);
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.push(rocket[0]), "");
  EXPECT_EQ(stream.push(tokenizer.encode("a")[0]), "\uFFFDa");
  EXPECT_EQ(stream.push(rocket[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, LeavesOutSpecialTokensUnlessTold) {
  const DataDirectory directory;
  auto tokenizer = gpt2_like(directory);
  const auto end = tokenizer.find_added("<|endoftext|>").value();
  EXPECT_EQ(TextStream(tokenizer).push(end), "");
  EXPECT_EQ(TextStream(tokenizer, false).push(end), "<|endoftext|>");
}

}  // namespace
}  // namespace granule
