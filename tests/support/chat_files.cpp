#include "tests/support/chat_files.h"

#include <nlohmann/json.hpp>

#include "tests/support/byte_words.h"

namespace granule {

namespace {

constexpr int64_t kSpaceH = 256;
constexpr int64_t kFirstAdded = 257;

}  // namespace

std::string byte_tokenizer(const std::vector<std::string>& added, const std::string& bos, bool special) {
  nlohmann::json vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary[word_of_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  vocabulary[word_of_bytes(" h")] = kSpaceH;
  auto tokens = nlohmann::json::array();
  for (size_t i = 0; i < added.size(); ++i) {
    tokens.push_back({{"id", kFirstAdded + static_cast<int64_t>(i)},
                      {"content", added[i]},
                      {"special", special},
                      {"normalized", false}});
  }
  nlohmann::json file = {
      {"version", "1.0"},
      {"added_tokens", tokens},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {word_of_bytes(" ") + " h"}}}}};
  if (!bos.empty()) {
    const nlohmann::json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const nlohmann::json begin = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
    const auto id = kFirstAdded + (std::find(added.begin(), added.end(), bos) - added.begin());
    file["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", {begin, text}},
                              {"pair", {begin, text, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
                              {"special_tokens", {{bos, {{"id", bos}, {"ids", {id}}, {"tokens", {bos}}}}}}};
  }
  return file.dump();
}

std::vector<int64_t> byte_ids(const std::string& text, const std::vector<std::string>& added) {
  std::vector<int64_t> ids;
  for (size_t place = 0; place < text.size();) {
    const auto rest = std::string_view(text).substr(place);
    const auto token =
        std::find_if(added.begin(), added.end(), [&](auto& name) { return rest.starts_with(name); });
    if (token != added.end()) {
      ids.push_back(kFirstAdded + (token - added.begin()));
      place += token->size();
    } else if (rest.starts_with(" h")) {
      ids.push_back(kSpaceH);
      place += 2;
    } else {
      ids.push_back(static_cast<uint8_t>(rest[0]));
      ++place;
    }
  }
  return ids;
}

}  // namespace granule
