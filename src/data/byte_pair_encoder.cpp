#include "data/byte_pair_encoder.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "data/utf8.h"

namespace granule {

namespace {

// Enough for the words of a language; longer pieces rarely come twice.
constexpr size_t kMaxSeen = 1 << 17;
constexpr size_t kMaxSeenSize = 48;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A token of the piece as it stands; `id` -1: merged into the one before.
struct Symbol {
  int32_t id;
  int32_t before;
  int32_t after;
};

// A merge of the symbol at `place` with the next one; stale once either was merged elsewhere.
struct Candidate {
  int32_t rank;
  int32_t place;
  int32_t left;
  int32_t right;
  int32_t merged;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, place) > std::tie(other.rank, other.place);
  }
};

}  // namespace

BytePairEncoder::BytePairEncoder(TextMap<int32_t> ids, const std::vector<MergeRule>& rules, bool whole_words_first,
                                 std::optional<UnknownCharacters> unknown)
    : ids_(std::move(ids)), id_of_byte_(256, -1), whole_words_first_(whole_words_first), unknown_(unknown) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto entry = ids_.find(std::string(1, static_cast<char>(byte)));
    if (entry != ids_.end()) id_of_byte_[byte] = entry->second;
  }
  merges_.reserve(rules.size());
  for (const auto& [left, right, merged] : rules) {
    merges_.emplace(pair_key(left, right), Merge{static_cast<int32_t>(merges_.size()), merged});
  }
}

const BytePairEncoder::Merge* BytePairEncoder::find_merge(int32_t left, int32_t right) const {
  const auto entry = merges_.find(pair_key(left, right));
  return entry == merges_.end() ? nullptr : &entry->second;
}

std::vector<int32_t> BytePairEncoder::single_bytes(std::string_view piece) const {
  std::vector<int32_t> ids;
  ids.reserve(piece.size());
  for (const char c : piece) {
    const int32_t id = id_of_byte_[static_cast<uint8_t>(c)];
    if (id < 0) {
      char name[8];
      std::snprintf(name, sizeof(name), "0x%02X", static_cast<uint8_t>(c));
      throw std::out_of_range(join_text("the vocabulary has no token for the byte ", name));
    }
    ids.push_back(id);
  }
  return ids;
}

// False, and nothing appended, if a byte has no token.
bool BytePairEncoder::append_byte_tokens(std::string_view character, std::vector<int32_t>& ids) const {
  const auto token = [&](char byte) { return unknown_->bytes[static_cast<uint8_t>(byte)]; };
  if (std::any_of(character.begin(), character.end(), [&](char byte) { return token(byte) < 0; })) return false;
  std::transform(character.begin(), character.end(), std::back_inserter(ids), token);
  return true;
}

// As the reference does it, in this order: an unknown character waits for its neighbours, byte tokens do not wait
// for it.
std::vector<int32_t> BytePairEncoder::single_characters(std::string_view piece) const {
  std::vector<int32_t> ids;
  bool waiting = false;
  const auto end_unknown = [&] {
    if (std::exchange(waiting, false)) ids.push_back(*unknown_->token);
  };
  while (!piece.empty()) {
    const auto character = first_character(piece);
    const auto text = piece.substr(0, character.size);
    piece.remove_prefix(character.size);
    if (const auto entry = ids_.find(text); entry != ids_.end()) {
      end_unknown();
      ids.push_back(entry->second);
    } else if (append_byte_tokens(text, ids)) {
      continue;
    } else if (unknown_->token) {
      if (!unknown_->fused) end_unknown();
      waiting = true;
    } else {
      throw std::out_of_range(join_text("the vocabulary has no token for the character \"", text, "\""));
    }
  }
  end_unknown();
  return ids;
}

std::vector<int32_t> BytePairEncoder::merge(std::string_view piece) const {
  CHECK(piece.size() < (size_t{1} << 31), "piece of ", piece.size(), " bytes");
  const auto singles = unknown_ ? single_characters(piece) : single_bytes(piece);
  const auto count = static_cast<int32_t>(singles.size());
  std::vector<Symbol> symbols;
  symbols.reserve(singles.size());
  for (int32_t i = 0; i < count; ++i) symbols.push_back({singles[static_cast<size_t>(i)], i - 1, i + 1});
  const auto at = [&](int32_t place) -> Symbol& { return symbols[static_cast<size_t>(place)]; };

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](int32_t place) {
    if (place < 0 || at(place).after >= count) return;
    const int32_t left = at(place).id;
    const int32_t right = at(at(place).after).id;
    if (const auto* merge = find_merge(left, right))
      candidates.push({merge->rank, place, left, right, merge->id});
  };
  for (int32_t place = 0; place < count; ++place) consider(place);

  while (!candidates.empty()) {
    const auto candidate = candidates.top();
    candidates.pop();
    auto& symbol = at(candidate.place);
    if (symbol.id != candidate.left || symbol.after >= count || at(symbol.after).id != candidate.right)
      continue;
    auto& gone = at(symbol.after);
    symbol.id = candidate.merged;
    symbol.after = gone.after;
    gone.id = -1;
    if (symbol.after < count) at(symbol.after).before = candidate.place;
    consider(symbol.before);
    consider(candidate.place);
  }

  std::vector<int32_t> ids;
  for (const auto& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
  return ids;
}

void BytePairEncoder::encode(std::string_view piece, std::vector<int64_t>& ids) {
  if (whole_words_first_) {
    if (const auto entry = ids_.find(piece); entry != ids_.end()) {
      ids.push_back(entry->second);
      return;
    }
  }
  if (piece.size() > kMaxSeenSize) {
    const auto merged = merge(piece);
    ids.insert(ids.end(), merged.begin(), merged.end());
    return;
  }
  auto entry = seen_.find(piece);
  if (entry == seen_.end()) {
    if (seen_.size() == kMaxSeen) seen_.clear();
    entry = seen_.emplace(piece, merge(piece)).first;
  }
  ids.insert(ids.end(), entry->second.begin(), entry->second.end());
}

}  // namespace granule
