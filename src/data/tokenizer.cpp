#include "data/tokenizer.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include "base/check.h"
#include "data/byte_alphabet.h"
#include "data/utf8.h"

namespace granule {

namespace {

constexpr std::string_view kEndOfDocument = "<|endoftext|>";

// What merges begin with and end in. Byte-level words outside the byte alphabet are added tokens; merges cannot make
// them.
TextMap<int32_t> ids_of_pieces(const TokenizerFile& file) {
  if (file.unknown) return file.vocabulary;
  TextMap<int32_t> ids;
  for (const auto& [word, id] : file.vocabulary) {
    if (auto bytes = bytes_of_word(word)) ids.emplace(*std::move(bytes), id);
  }
  return ids;
}

// <0x41>
bool is_byte_token(std::string_view word) {
  const auto is_digit = [&](size_t place) { return std::isxdigit(static_cast<unsigned char>(word[place])) != 0; };
  return word.size() == 6 && word.starts_with("<0x") && word.ends_with('>') && is_digit(3) && is_digit(4);
}

std::string text_of_word(const std::string& word, const std::optional<WordSpelling>& spelling) {
  if (!spelling) return bytes_of_word(word).value_or(word);
  if (spelling->byte_tokens && is_byte_token(word)) {
    return std::string(1, static_cast<char>(std::stoi(word.substr(3, 2), nullptr, 16)));
  }
  return change_text(spelling->changes, word);
}

// As the reference has it: decoders see what was looked for.
std::string text_of_added(const AddedToken& token, const TokenizerFile& file) {
  const auto sought = token.normalized ? change_text(file.normalizer, token.content) : token.content;
  return file.spelling ? change_text(file.spelling->changes, sought) : sought;
}

}  // namespace

Tokenizer::Tokenizer(const std::string& path) : Tokenizer(path, read_tokenizer_file(path)) {}

Tokenizer::Tokenizer(const std::string& path, TokenizerFile file)
    : path_(path),
      added_(file.added, file.normalizer),
      normalizer_(file.normalizer),
      metaspace_(file.metaspace),
      steps_(file.steps),
      encoder_(ids_of_pieces(file), file.merges, file.ignore_merges, file.unknown),
      prefix_(file.prefix),
      suffix_(file.suffix) {
  fill_texts(file);
  const auto configured = read_configured_tokens(path);
  const auto added_id = [&](const char* key, const std::string& content) {
    const auto id = find_added(content);
    if (!id) {
      throw InputError(path, "has no added token \"", content, "\", the ", key, " of tokenizer_config.json");
    }
    return *id;
  };
  end_of_document_ =
      configured.eos ? added_id("eos_token", *configured.eos) : find_added(std::string(kEndOfDocument));
  if (configured.bos) begin_of_document_ = added_id("bos_token", *configured.bos);
  if (prefix_.empty() && configured.bos_prefix && begin_of_document_) prefix_ = {*begin_of_document_};
  if (!begin_of_document_ && !prefix_.empty()) begin_of_document_ = prefix_.front();
}

void Tokenizer::fill_texts(const TokenizerFile& file) {
  std::vector<std::pair<int64_t, std::string>> texts;
  for (const auto& [word, id] : file.vocabulary) texts.emplace_back(id, text_of_word(word, file.spelling));
  for (const auto& token : file.added) texts.emplace_back(token.id, text_of_added(token, file));
  // An added token comes behind the same word of the vocabulary and is the one that stays.
  std::stable_sort(texts.begin(), texts.end(), [](auto& a, auto& b) { return a.first < b.first; });
  const int64_t size = texts.empty() ? 0 : texts.back().first + 1;
  special_.resize(static_cast<size_t>(size), false);
  for (const auto& token : file.added) special_[static_cast<size_t>(token.id)] = token.special;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i + 1 < texts.size() && texts[i + 1].first == texts[i].first) continue;
    text_begin_.resize(static_cast<size_t>(texts[i].first) + 1, static_cast<uint32_t>(text_.size()));
    text_ += texts[i].second;
  }
  text_begin_.push_back(static_cast<uint32_t>(text_.size()));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) {
  const auto valid = replace_invalid_utf8(text);
  std::vector<int64_t> ids;
  if (options.with_template) ids = prefix_;
  try {
    for (const auto& part : added_.split(valid, options.with_special, options.also_special)) {
      if (part.id >= 0)
        ids.push_back(part.id);
      else
        encode_part(part.text, options,
                    part.text.data() == valid.data() ? options.before : TextBefore::kToken, ids);
    }
  } catch (const std::runtime_error& error) {
    throw InputError(path_, "cannot split this text: ", error.what());
  } catch (const std::out_of_range& error) {
    throw InputError(path_, error.what());
  }
  if (options.with_template) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
  return ids;
}

std::vector<int64_t> Tokenizer::encode_prompt(std::string_view text) {
  auto ids = encode(text);
  const bool spelt_out =
      ids.size() >= prefix_.size() && std::equal(prefix_.begin(), prefix_.end(), ids.begin());
  if (!spelt_out) ids.insert(ids.begin(), prefix_.begin(), prefix_.end());
  const auto& first = begin_of_document_ ? begin_of_document_ : end_of_document_;
  if (ids.empty() && first) ids.push_back(*first);
  return ids;
}

// `text` is what stands between added tokens that are not normalized.
void Tokenizer::encode_part(std::string_view text, const EncodeOptions& options, TextBefore before,
                            std::vector<int64_t>& ids) {
  const auto normalized = change_text(normalizer_, text, before != TextBefore::kText);
  for (const auto& part : added_.split_normalized(normalized, options.with_special, options.also_special)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    const bool begins = part.text.data() == normalized.data();
    std::string marked;
    if (metaspace_) marked = mark_spaces(*metaspace_, part.text, begins ? before : TextBefore::kToken);
    for (const auto piece : pre_tokenize(steps_, metaspace_ ? marked : part.text)) encoder_.encode(piece, ids);
  }
}

std::string_view Tokenizer::token_text(int64_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const auto begin = text_begin_[static_cast<size_t>(id)];
  return std::string_view(text_).substr(begin, text_begin_[static_cast<size_t>(id) + 1] - begin);
}

int64_t Tokenizer::num_bytes(int64_t id) const {
  return is_special(id) ? 0 : static_cast<int64_t>(token_text(id).size());
}

bool Tokenizer::is_special(int64_t id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<size_t>(id)];
}

std::optional<int64_t> Tokenizer::find_added(std::string_view content) const {
  for (const auto& token : added_.all()) {
    if (token.content == content) return token.id;
  }
  return std::nullopt;
}

std::vector<std::string> Tokenizer::added_names() const {
  std::vector<std::string> names;
  for (const auto& token : added_.all()) names.push_back(token.content);
  return names;
}

void check_ids(const std::vector<int64_t>& ids, int64_t vocab_size, const Tokenizer& tokenizer) {
  const auto largest = std::max_element(ids.begin(), ids.end());
  if (largest == ids.end() || *largest < vocab_size) return;
  throw ConfigError("model.vocab_size", vocab_size, "is too small for the token id ", *largest, " of ",
                    tokenizer.path());
}

}  // namespace granule
