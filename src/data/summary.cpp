#include "data/summary.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "data/token_file.h"
#include "data/utf8.h"

namespace granule {

using nlohmann::json;

namespace {

struct LengthRange {
  int64_t shortest = std::numeric_limits<int64_t>::max();
  int64_t longest = 0;
  int64_t num_empty = 0;
};

LengthRange document_lengths(const TokenFile& file) {
  LengthRange range;
  for (int64_t document = 0; document < file.num_documents(); ++document) {
    const int64_t length = file.document_length(document);
    range.shortest = std::min(range.shortest, length);
    range.longest = std::max(range.longest, length);
    range.num_empty += length == 0;
  }
  return range;
}

int64_t largest_id(const TokenFile& file) {
  constexpr int64_t kBlock = 1 << 20;
  std::vector<int64_t> ids(static_cast<size_t>(std::min(kBlock, file.num_tokens())));
  int64_t largest = -1;
  for (int64_t begin = 0; begin < file.num_tokens(); begin += kBlock) {
    const int64_t count = std::min(kBlock, file.num_tokens() - begin);
    file.read(begin, count, ids.data());
    largest = std::max(largest, *std::max_element(ids.begin(), ids.begin() + count));
  }
  return largest;
}

// Row `row` of a matrix of one type.
template <class Value>
std::vector<int64_t> row_of(const at::Tensor& matrix, int64_t row) {
  const auto* begin = matrix.const_data_ptr<Value>() + row * matrix.size(1);
  return std::vector<int64_t>(begin, begin + matrix.size(1));
}

}  // namespace

std::string summarize_token_file(const std::string& prefix) {
  const TokenFile file(prefix);
  std::string text = prefix + "\n";
  const auto line = [&](const char* name, const auto&... value) {
    text += join_text("  ", name, ": ", value..., "\n");
  };
  line("tokens", file.num_tokens(), " (", short_count(static_cast<double>(file.num_tokens())),
       "), stored as ", token_type_name(file.type()));
  line("documents", file.num_documents());
  line("sequences", file.num_sequences());
  if (file.num_documents() > 0) {
    const auto [shortest, longest, num_empty] = document_lengths(file);
    line("document length", shortest, " to ", longest, " tokens, mean ",
         file.num_tokens() / file.num_documents());
    if (num_empty > 0) line("empty documents", num_empty);
  }
  if (file.num_tokens() > 0) line("largest id", largest_id(file));
  return text;
}

std::string batch_as_json(int64_t step, const Batch& batch) {
  json tokens = json::array();
  json loss_mask = json::array();
  json segments = json::array();
  for (int64_t row = 0; row < batch.token_BS.size(0); ++row) {
    auto ids = row_of<int64_t>(batch.token_BS, row);
    ids.push_back(row_of<int64_t>(batch.label_BS, row).back());
    tokens.push_back(std::move(ids));
    loss_mask.push_back(row_of<bool>(batch.loss_mask_BS, row));
    segments.push_back(row_of<int64_t>(batch.segment_BS, row));
  }
  nlohmann::ordered_json out;
  out["step"] = step;
  out["tokens"] = std::move(tokens);
  out["loss_mask"] = std::move(loss_mask);
  out["segments"] = std::move(segments);
  return out.dump();
}

std::string tokens_as_json(Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
  const auto ids = tokenizer.encode(text, options);
  json tokens = json::array();
  int64_t num_bytes = 0;
  for (const auto id : ids) {
    tokens.push_back(replace_invalid_utf8(tokenizer.token_text(id)));
    num_bytes += tokenizer.num_bytes(id);
  }
  nlohmann::ordered_json out;
  out["ids"] = ids;
  out["tokens"] = std::move(tokens);
  out["bytes"] = num_bytes;
  return out.dump();
}

}  // namespace granule
