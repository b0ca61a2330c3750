#include "data/tokenizer_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_set>

#include "base/check.h"
#include "base/strict_json.h"

namespace granule {

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr int64_t kMaxId = (1 << 24) - 1;
constexpr size_t kMaxPatternBytes = 1 << 16;

// The pattern behind ByteLevel's use_regex, that of GPT-2.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void refuse_type(const JsonField& field, const std::string& type, const char* known) {
  field.refuse("has type \"" + type + "\", which is not supported; known: " + known);
}

void require_false(const JsonField& field, const std::string& key) {
  if (field.boolean_or(key, false)) field[key].refuse("is true, which is not supported");
}

void require_empty(const JsonField& field, const std::string& key) {
  const auto text = field.text_or(key, "");
  if (!text.empty()) field[key].refuse("is \"" + text + "\", which is not supported");
}

SplitStep make_step(const JsonField& field, const std::string& pattern, SplitBehavior behavior,
                    bool invert = false) {
  if (pattern.size() > kMaxPatternBytes) {
    field.refuse(
        join_text("is a pattern of ", pattern.size(), " bytes, at most ", kMaxPatternBytes, " are accepted"));
  }
  try {
    return {Regex(pattern), behavior, invert};
  } catch (const std::invalid_argument& error) {
    field.refuse(std::string("is no valid pattern: ") + error.what());
  }
}

SplitBehavior read_behavior(const JsonField& field) {
  const auto name = field.text();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.refuse("is \"" + name +
               "\", expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

SplitStep read_split(const JsonField& field) {
  const auto pattern = field["pattern"];
  const auto regex = pattern.find("Regex");
  const auto source = regex ? regex->text() : escaped_pattern(pattern["String"].text());
  return make_step(regex ? *regex : pattern, source, read_behavior(field["behavior"]),
                   field.boolean_or("invert", false));
}

Metaspace::Prefix read_prefix(const JsonField& field) {
  // Files from before there was a scheme say it so.
  if (!field.find("prepend_scheme")) {
    return field.boolean_or("add_prefix_space", true) ? Metaspace::Prefix::kAlways : Metaspace::Prefix::kNever;
  }
  const auto name = field["prepend_scheme"].text();
  if (name == "always") return Metaspace::Prefix::kAlways;
  if (name == "first") return Metaspace::Prefix::kFirst;
  if (name == "never") return Metaspace::Prefix::kNever;
  field["prepend_scheme"].refuse("is \"" + name + "\", expected always, first or never");
}

void read_metaspace(const JsonField& field, TokenizerFile& file) {
  if (file.metaspace || !file.steps.empty()) field.refuse("is a Metaspace behind other steps, which is not supported");
  file.metaspace = {field["replacement"].text(), read_prefix(field)};
  if (!field.boolean_or("split", true)) return;
  file.steps.push_back(make_step(field, escaped_pattern(file.metaspace->mark), SplitBehavior::kMergedWithNext));
}

// Appends the steps; `byte_level` tells whether bytes were already mapped, after which text is no longer
// text.
void read_pre_tokenizer(const JsonField& field, TokenizerFile& file, bool& byte_level) {
  auto& steps = file.steps;
  const auto type = field["type"].text();
  if (type == "Sequence") {
    for (const auto& member : field["pretokenizers"].items()) read_pre_tokenizer(member, file, byte_level);
    return;
  }
  if (byte_level) field.refuse("stands behind ByteLevel, which must be last");
  if (type == "ByteLevel") {
    require_false(field, "add_prefix_space");
    if (field.boolean_or("use_regex", true)) {
      steps.push_back(make_step(field, kByteLevelPattern, SplitBehavior::kIsolated));
    }
    byte_level = true;
  } else if (type == "Split") {
    steps.push_back(read_split(field));
  } else if (type == "Digits") {
    const bool single = field.boolean_or("individual_digits", false);
    steps.push_back(
        make_step(field, R"(\p{N})", single ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
  } else if (type == "Metaspace") {
    read_metaspace(field, file);
  } else {
    refuse_type(field, type, "ByteLevel, Metaspace, Split, Digits, Sequence");
  }
}

// Of the type Replace, in normalizers and decoders.
TextChange read_replacement(const JsonField& field) {
  const auto pattern = field["pattern"];
  if (const auto regex = pattern.find("Regex")) regex->refuse("is a regular expression, which is not supported here");
  TextChange change{pattern["String"].text(), field["content"].text()};
  if (change.from.empty()) pattern.refuse("is empty");
  return change;
}

void read_normalizer(const JsonField& field, std::vector<TextChange>& changes) {
  const auto type = field["type"].text();
  if (type == "Sequence") {
    for (const auto& member : field["normalizers"].items()) read_normalizer(member, changes);
  } else if (type == "Prepend") {
    changes.push_back({"", field["prepend"].text()});
  } else if (type == "Replace") {
    changes.push_back(read_replacement(field));
  } else {
    refuse_type(field, type, "Prepend, Replace, Sequence");
  }
}

void check_byte_level_decoder(const JsonField& field) {
  const auto type = field["type"].text();
  if (type == "Sequence") {
    for (const auto& member : field["decoders"].items()) check_byte_level_decoder(member);
  } else if (type != "ByteLevel") {
    refuse_type(field, type, "ByteLevel, Sequence");
  }
}

void check_strip(const JsonField& field) {
  if (field["content"].text() != " ") field["content"].refuse("is no space, which is not supported");
  field["start"].integer(0, 1);
  field["stop"].integer(0, 0);
}

// The decoder of a vocabulary of characters: Metaspace, or what it is made of, in this order. What it takes away
// before a whole text stays here: what a model writes goes on from other text.
WordSpelling read_spelling(const JsonField& field) {
  static const std::vector<std::string> kOrder = {"Replace", "ByteFallback", "Fuse", "Strip"};
  WordSpelling spelling;
  const auto type = field["type"].text();
  if (type == "Metaspace") {
    spelling.changes.push_back({field["replacement"].text(), " "});
    return spelling;
  }
  if (type != "Sequence") refuse_type(field, type, "Metaspace, Sequence");
  size_t stage = 0;
  for (const auto& member : field["decoders"].items()) {
    const auto name = member["type"].text();
    const auto place = std::find(kOrder.begin(), kOrder.end(), name);
    if (place == kOrder.end()) refuse_type(member, name, "Replace, ByteFallback, Fuse, Strip");
    const auto number = static_cast<size_t>(place - kOrder.begin());
    if (number < stage || (name == "Strip" && stage != 2)) {
      member.refuse("is " + name + " out of place; known is Replace, ByteFallback, Fuse, Strip in this order");
    }
    stage = number;
    if (name == "Replace") spelling.changes.push_back(read_replacement(member));
    if (name == "ByteFallback") spelling.byte_tokens = true;
    if (name == "Strip") check_strip(member);
  }
  return spelling;
}

std::unordered_set<int64_t> ids_of(const TokenizerFile& file) {
  std::unordered_set<int64_t> ids;
  for (const auto& [word, id] : file.vocabulary) ids.insert(id);
  for (const auto& token : file.added) ids.insert(token.id);
  return ids;
}

void read_template(const JsonField& field, TokenizerFile& file) {
  const auto known = ids_of(file);
  bool behind_text = false;
  for (const auto& piece : field["single"].items()) {
    if (piece.find("Sequence")) {
      if (behind_text) piece.refuse("repeats the text, which is not supported");
      behind_text = true;
      continue;
    }
    const auto name = piece["SpecialToken"]["id"].text();
    auto& ids = behind_text ? file.suffix : file.prefix;
    for (const auto& id : field["special_tokens"][name]["ids"].items()) {
      ids.push_back(id.integer(0, kMaxId));
      if (!known.contains(ids.back())) id.refuse(join_text("is ", ids.back(), ", an id that no token has"));
    }
  }
  if (!behind_text) field["single"].refuse("leaves out the text");
}

void read_post_processor(const JsonField& field, TokenizerFile& file) {
  const auto type = field["type"].text();
  if (type == "Sequence") {
    for (const auto& member : field["processors"].items()) read_post_processor(member, file);
  } else if (type == "TemplateProcessing") {
    if (!file.prefix.empty() || !file.suffix.empty())
      field.refuse("is a second template, which is not supported");
    read_template(field, file);
  } else if (type != "ByteLevel") {  // which moves offsets only
    refuse_type(field, type, "ByteLevel, TemplateProcessing, Sequence");
  }
}

TextMap<int32_t> read_vocabulary(const JsonField& field) {
  if (!field.value().is_object()) field.refuse("is no object");
  TextMap<int32_t> vocabulary;
  std::unordered_set<int64_t> taken;
  for (const auto& [word, id] : field.value().items()) {
    if (word.empty()) field.refuse("has an empty token");
    if (!id.is_number_integer()) field[word].integer(0, kMaxId);
    const auto value = id.is_number_unsigned() ? id.get<uint64_t>() : uint64_t{kMaxId} + 1;
    if (value > kMaxId) field[word].integer(0, kMaxId);
    if (!taken.insert(static_cast<int64_t>(value)).second) {
      field.refuse(join_text("gives the id ", value, " to two tokens, \"", word, "\" among them"));
    }
    vocabulary.emplace(word, static_cast<int32_t>(value));
  }
  return vocabulary;
}

// The two words of a rule, in either notation: "a b" or ["a", "b"].
std::pair<std::string, std::string> words_of_merge(const JsonField& field, const nlohmann::json& merge,
                                                   size_t number) {
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const auto space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  field.refuse(join_text("[", number, "] is neither \"a b\" nor [\"a\", \"b\"]"));
}

std::vector<MergeRule> read_merges(const JsonField& field, const TextMap<int32_t>& vocabulary) {
  if (!field.value().is_array()) field.refuse("is no array");
  const auto id_of = [&](const std::string& word, size_t number) {
    const auto entry = vocabulary.find(word);
    if (entry == vocabulary.end()) {
      field.refuse(
          join_text("[", number, "] needs the token \"", word, "\", which is not in the vocabulary"));
    }
    return entry->second;
  };
  std::vector<MergeRule> rules;
  std::unordered_set<uint64_t> seen;
  for (const auto& merge : field.value()) {
    const auto number = rules.size();
    const auto [left, right] = words_of_merge(field, merge, number);
    rules.push_back({id_of(left, number), id_of(right, number), id_of(left + right, number)});
    const auto& rule = rules.back();
    if (!seen.insert(static_cast<uint64_t>(rule.left) << 32 | static_cast<uint64_t>(rule.right)).second) {
      field.refuse(join_text("[", number, "] repeats the merge of \"", left, "\" and \"", right, "\""));
    }
  }
  return rules;
}

// What a vocabulary of characters says of those that it lacks.
UnknownCharacters read_unknown(const JsonField& field, const TextMap<int32_t>& vocabulary) {
  UnknownCharacters unknown;
  unknown.bytes.fill(-1);
  if (field.boolean_or("byte_fallback", false)) {
    for (size_t byte = 0; byte < unknown.bytes.size(); ++byte) {
      char name[8];
      std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(byte));
      if (const auto entry = vocabulary.find(name); entry != vocabulary.end()) unknown.bytes[byte] = entry->second;
    }
  }
  if (const auto token = field.find("unk_token")) {
    const auto entry = vocabulary.find(token->text());
    if (entry == vocabulary.end()) token->refuse("is \"" + token->text() + "\", which is not in the vocabulary");
    unknown.token = entry->second;
  }
  unknown.fused = field.boolean_or("fuse_unk", false);
  return unknown;
}

void read_model(const JsonField& field, bool byte_level, TokenizerFile& file) {
  const auto type = field.text_or("type", "BPE");
  if (type != "BPE") refuse_type(field, type, "BPE");
  if (const auto dropout = field.find("dropout"); dropout && dropout->value() != 0) {
    dropout->refuse("makes ids random, which is not supported");
  }
  require_empty(field, "continuing_subword_prefix");
  require_empty(field, "end_of_word_suffix");
  if (byte_level) require_false(field, "byte_fallback");
  file.ignore_merges = field.boolean_or("ignore_merges", false);
  file.vocabulary = read_vocabulary(field["vocab"]);
  file.merges = read_merges(field["merges"], file.vocabulary);
  if (!byte_level) file.unknown = read_unknown(field, file.vocabulary);
}

std::vector<AddedToken> read_added_tokens(const JsonField& field, const TextMap<int32_t>& vocabulary) {
  std::vector<AddedToken> tokens;
  std::unordered_set<int64_t> ids;
  std::unordered_set<std::string> contents;
  std::unordered_set<int64_t> vocabulary_ids;
  for (const auto& [word, id] : vocabulary) vocabulary_ids.insert(id);
  for (const auto& item : field.items()) {
    for (const char* key : {"single_word", "lstrip", "rstrip"}) require_false(item, key);
    AddedToken token{item["id"].integer(0, kMaxId), item["content"].text(), item.boolean_or("special", false),
                     item.boolean_or("normalized", true)};
    if (token.content.empty()) item["content"].refuse("is empty");
    const auto entry = vocabulary.find(token.content);
    const bool in_vocabulary = entry != vocabulary.end();
    if (in_vocabulary ? entry->second != token.id : vocabulary_ids.contains(token.id)) {
      item["id"].refuse(join_text("is ", token.id, ", but the vocabulary has ",
                                  in_vocabulary ? "another id for this token" : "another token of this id"));
    }
    if (!ids.insert(token.id).second)
      item["id"].refuse(join_text("is ", token.id, ", which is taken already"));
    if (!contents.insert(token.content).second) item["content"].refuse("stands here for the second time");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

TokenizerFile read_tokenizer_file(const std::string& path) {
  const auto document = read_strict_json(path, kMaxFileBytes);
  const JsonField top(path, document);
  if (const auto version = top.find("version"); version && version->value() != "1.0") {
    version->refuse("is unknown, expected \"1.0\"");
  }
  TokenizerFile file;
  bool byte_level = false;
  if (const auto pre_tokenizer = top.find("pre_tokenizer")) read_pre_tokenizer(*pre_tokenizer, file, byte_level);
  read_model(top["model"], byte_level, file);
  if (const auto added = top.find("added_tokens")) file.added = read_added_tokens(*added, file.vocabulary);
  if (const auto normalizer = top.find("normalizer")) read_normalizer(*normalizer, file.normalizer);
  if (!byte_level) {
    file.spelling = read_spelling(top["decoder"]);
  } else if (const auto decoder = top.find("decoder")) {
    check_byte_level_decoder(*decoder);
  }
  if (const auto post_processor = top.find("post_processor")) read_post_processor(*post_processor, file);
  return file;
}

ConfiguredTokens read_configured_tokens(const std::string& tokenizer_path) {
  const auto path = (std::filesystem::path(tokenizer_path).parent_path() / "tokenizer_config.json").string();
  if (!std::filesystem::exists(path)) return {};
  const auto document = read_strict_json(path, kMaxFileBytes);
  const JsonField top(path, document);
  const auto content_of = [&](const char* key) -> std::optional<std::string> {
    const auto token = top.find(key);
    if (!token) return std::nullopt;
    return token->value().is_object() ? (*token)["content"].text() : token->text();
  };
  return {.eos = content_of("eos_token"),
          .bos = content_of("bos_token"),
          .bos_prefix = top.boolean_or("add_bos_token", false)};
}

}  // namespace granule
