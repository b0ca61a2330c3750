#include "train/checkpoint_manifest.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace granule {
namespace {

CheckpointManifest example() {
  CheckpointManifest manifest;
  manifest.state = {.step = 1000,
                    .consumed_samples = 32000,
                    .consumed_tokens = 1 << 20,
                    .skipped_steps = 3,
                    .skipped_in_a_row = 1,
                    .seed = 9,
                    .data_fingerprint = 0x0123456789abcdefu,
                    .base_fingerprint = 0xa123456789abcdefu};
  manifest.num_updates = 997;
  manifest.layout = {.data = 2, .expert = 3};
  manifest.files = {{"rank-00000.safetensors", 100, 0xfedcba9876543210u}, {"rank-00001.safetensors", 7, 1}};
  manifest.parameters = {{"a", {2, 3}, "F32", "dense", {{0, 4, 1, {1, 2, 3}}, {4, 2, 0, {4, 5, UINT64_MAX}}}},
                         {"b\"ü", {}, "BF16", "expert", {{0, 1, 0, {7, 8, 9}}}}};
  return manifest;
}

std::string refusal(const std::string& text) {
  try {
    parse_manifest(text, "manifest.json");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

// As a liar would write it: with the right hash.
std::string with_hash(const std::string& rest) {
  return "{\"xxh3\":\"" + hash_text(hash_bytes(rest)) + "\",\n" + rest;
}

std::string edited(const std::string& from, const std::string& to) {
  auto rest = print_manifest(example());
  rest = rest.substr(rest.find('\n') + 1);
  const auto place = rest.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return with_hash(rest.replace(place, from.size(), to));
}

TEST(CheckpointManifest, ReadsBackWhatWasPrinted) {
  const auto manifest = parse_manifest(print_manifest(example()), "manifest.json");
  const auto expected = example();
  EXPECT_EQ(manifest.state.step, 1000);
  EXPECT_EQ(manifest.state.consumed_samples, 32000);
  EXPECT_EQ(manifest.state.consumed_tokens, 1 << 20);
  EXPECT_EQ(manifest.state.skipped_steps, 3);
  EXPECT_EQ(manifest.state.skipped_in_a_row, 1);
  EXPECT_EQ(manifest.state.seed, 9);
  EXPECT_EQ(manifest.state.data_fingerprint, 0x0123456789abcdefu);
  EXPECT_EQ(manifest.state.base_fingerprint, 0xa123456789abcdefu);
  EXPECT_EQ(manifest.num_updates, 997);
  EXPECT_EQ(manifest.layout.data, 2);
  EXPECT_EQ(manifest.layout.expert, 3);
  ASSERT_EQ(manifest.files.size(), 2u);
  EXPECT_EQ(manifest.files[0].name, "rank-00000.safetensors");
  EXPECT_EQ(manifest.files[0].bytes, 100u);
  EXPECT_EQ(manifest.files[0].hash, 0xfedcba9876543210u);
  const auto* a = manifest.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a->dtype, "F32");
  EXPECT_EQ(a->placement, "dense");
  ASSERT_EQ(a->slices.size(), 2u);
  EXPECT_EQ(a->slices[1].begin, 4);
  EXPECT_EQ(a->slices[1].count, 2);
  EXPECT_EQ(a->slices[1].file, 0);
  EXPECT_EQ(a->slices[1].hash, expected.parameters[0].slices[1].hash);
  ASSERT_NE(manifest.find("b\"ü"), nullptr);
  EXPECT_EQ(manifest.find("b\"ü")->num_elements(), 1);
  EXPECT_EQ(manifest.find("c"), nullptr);
  EXPECT_EQ(print_manifest(manifest), print_manifest(example()));
}

// Earlier ones had an "extra" instead.
TEST(CheckpointManifest, OfAnEarlierOneTheDataAreUnknown) {
  const auto text = edited("\"data_xxh3\": \"0123456789abcdef\"", "\"extra\": {}");
  EXPECT_EQ(parse_manifest(text, "manifest.json").state.data_fingerprint, 0u);
}

TEST(CheckpointManifest, AnyFlippedBitIsNoticed) {
  auto text = print_manifest(example());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      text[i] = static_cast<char>(text[i] ^ 1 << bit);
      EXPECT_NE(refusal(text), "") << "byte " << i << " bit " << bit;
      text[i] = static_cast<char>(text[i] ^ 1 << bit);
    }
  }
  EXPECT_EQ(refusal(text), "");
}

TEST(CheckpointManifest, AnyTruncationIsNoticed) {
  const auto text = print_manifest(example());
  for (size_t size = 0; size < text.size(); ++size) EXPECT_NE(refusal(text.substr(0, size)), "") << size;
  EXPECT_NE(refusal(text + "\n"), "");
}

TEST(CheckpointManifest, ContradictionsAreRefusedWhateverTheHashSays) {
  EXPECT_EQ(refusal(edited("\"a\"", "\"a\"")), "");
  EXPECT_NE(refusal(edited("rank-00001.safetensors", "../escape")).find("no name of a file"),
            std::string::npos);
  EXPECT_NE(refusal(edited("rank-00001.safetensors", "/etc/passwd")).find("no name of a file"),
            std::string::npos);
  EXPECT_NE(refusal(edited("rank-00001.safetensors", "..")).find("no name of a file"), std::string::npos);
  EXPECT_NE(refusal(edited("[2,3]", "[2,4]")).find("has 6 of its 8"), std::string::npos);
  EXPECT_NE(refusal(edited("[2,3]", "[2,2]")).find("slice"), std::string::npos);
  EXPECT_NE(refusal(edited("[2,3]", "[-2,-3]")).find("impossible"), std::string::npos);
  EXPECT_NE(refusal(edited("[2,3]", "[4611686018427387904,4611686018427387904]")).find("impossible"),
            std::string::npos);
  EXPECT_NE(refusal(edited("\"begin\":4", "\"begin\":3")).find("slice"), std::string::npos);
  EXPECT_NE(refusal(edited("\"file\":1", "\"file\":2")).find("slice"), std::string::npos);
  EXPECT_NE(refusal(edited("\"file\":1", "\"file\":-1")).find("slice"), std::string::npos);
  EXPECT_NE(refusal(edited("\"step\": 1000", "\"step\": -1")).find("step"), std::string::npos);
  EXPECT_NE(refusal(edited("\"step\": 1000", "\"step\": 1e300")).find("step"), std::string::npos);
  EXPECT_NE(refusal(edited("\"step\": 1000", "\"deep\": " + std::string(300000, '[') +
                                                 std::string(300000, ']') + ", \"step\": 1000"))
                .find("deep"),
            std::string::npos);
  EXPECT_NE(refusal(edited("\"step\": 1000", "\"step\": \"x\"")), "");
  EXPECT_NE(refusal(edited("\"step\"", "\"stop\"")), "");
  EXPECT_NE(refusal(edited("\"name\":\"a\"", "\"name\":\"c\"")).find("out of order"), std::string::npos);
  EXPECT_NE(refusal(edited("fedcba9876543210", "fedcba987654321g")), "");
  EXPECT_NE(refusal(edited("granule checkpoint", "something else")).find("is no"), std::string::npos);
}

TEST(CheckpointManifest, AnotherVersionIsNoDamage) {
  EXPECT_THROW(parse_manifest(edited("\"version\": 1", "\"version\": 2"), "manifest.json"),
               CheckpointVersionError);
}

}  // namespace
}  // namespace granule
