#include "train/batch_generator.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "model/generation_cache.h"

namespace granule {

namespace {

// Writes some of the texts on one rank, a batch after another; each step asks the model once.
class BatchWriter {
 public:
  BatchWriter(const Transformer& model, const std::vector<std::vector<int64_t>>& prompts,
              const BatchGeneration& generation)
      : model_(model), prompts_(prompts), generation_(generation), answers_(prompts.size()) {}

  /// Texts to be written beside those added before.
  void add_batch(std::span<const size_t> texts) { batches_.emplace_back(texts.begin(), texts.end()); }
  bool has_work() const { return !rows_.empty() || next_batch_ < batches_.size(); }

  /// The next token of each text of the batch under way. Without work the model is asked all the same: other
  /// ranks may need its experts.
  void step() {
    if (!has_work()) {
      auto cache = model_.make_cache(1, 1);
      model_.next_logits(at::zeros({1, 1}, at::kLong), {{1}}, cache);
      return;
    }
    const auto logit_BV = rows_.empty() ? begin_batch() : read_last_tokens();
    // From the back, since the last row takes the place of one that is removed.
    for (size_t b = rows_.size(); b-- > 0;) {
      if (!write(rows_[b], logit_BV[static_cast<int64_t>(b)])) remove(b);
    }
  }

  const std::vector<std::vector<int64_t>>& answers() const { return answers_; }

 private:
  struct Row {
    size_t text;
    Sampler sampler;
  };

  at::Tensor begin_batch() {
    const auto& texts = batches_[next_batch_++];
    std::vector<int64_t> count_B;
    for (const size_t text : texts) {
      rows_.push_back({text, Sampler(generation_.sampling, text)});
      count_B.push_back(static_cast<int64_t>(prompts_[text].size()));
    }
    const auto B = static_cast<int64_t>(texts.size());
    const int64_t S = *std::ranges::max_element(count_B);
    cache_.emplace(model_.make_cache(B, S + generation_.sampling.max_tokens));
    auto token_BS = at::zeros({B, S}, at::kLong);
    for (int64_t b = 0; b < B; ++b) {
      const auto& prompt = prompts_[texts[static_cast<size_t>(b)]];
      std::ranges::copy(prompt, token_BS.mutable_data_ptr<int64_t>() + b * S);
    }
    return model_.next_logits(token_BS, count_B, *cache_);
  }

  at::Tensor read_last_tokens() {
    std::vector<int64_t> last_B;
    for (const auto& row : rows_) last_B.push_back(answers_[row.text].back());
    return model_.next_logits(at::tensor(last_B, at::kLong).unsqueeze(1),
                              std::vector<int64_t>(rows_.size(), 1), *cache_);
  }

  // False: the text is complete.
  bool write(Row& row, const at::Tensor& logit_V) {
    const int64_t id = row.sampler.choose(logit_V);
    if (std::ranges::find(generation_.stop_ids, id) != generation_.stop_ids.end()) return false;
    auto& answer = answers_[row.text];
    answer.push_back(id);
    if (generation_.goes_on && !generation_.goes_on(row.text, answer)) return false;
    return static_cast<int64_t>(answer.size()) < generation_.sampling.max_tokens;
  }

  void remove(size_t b) {
    std::swap(rows_[b], rows_.back());
    rows_.pop_back();
    cache_->remove(static_cast<int64_t>(b));
  }

  const Transformer& model_;
  const std::vector<std::vector<int64_t>>& prompts_;
  const BatchGeneration& generation_;
  std::vector<std::vector<size_t>> batches_;
  size_t next_batch_ = 0;
  std::vector<Row> rows_;  // of the batch under way, as in the cache
  std::optional<GenerationCache> cache_;
  std::vector<std::vector<int64_t>> answers_;
};

// Texts of about one length come together; batches do not depend on the number of ranks.
std::vector<size_t> longest_first(const std::vector<std::vector<int64_t>>& prompts) {
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t text) { return prompts[text].size(); });
  return order;
}

// Each text was written on one rank; all get it.
std::vector<std::vector<int64_t>> gather_answers(Communicator& ranks,
                                                 const std::vector<std::vector<int64_t>>& mine) {
  std::string bytes;
  for (const auto& answer : mine) {
    const auto size = static_cast<int64_t>(answer.size());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes.append(reinterpret_cast<const char*>(answer.data()), answer.size() * sizeof(int64_t));
  }
  std::vector<std::vector<int64_t>> all(mine.size());
  for (const auto& from_rank : ranks.all_gather_bytes(bytes)) {
    const char* next = from_rank.data();
    for (auto& answer : all) {
      int64_t size = 0;
      std::memcpy(&size, next, sizeof(size));
      next += sizeof(size);
      const auto num_bytes = static_cast<size_t>(size) * sizeof(int64_t);
      if (size > 0) {
        answer.resize(static_cast<size_t>(size));
        std::memcpy(answer.data(), next, num_bytes);
      }
      next += num_bytes;
    }
  }
  return all;
}

}  // namespace

std::vector<std::vector<int64_t>> generate_all(const Transformer& model, Communicator& replica,
                                               const std::vector<std::vector<int64_t>>& prompts,
                                               const BatchGeneration& generation) {
  if (generation.sampling.max_tokens == 0) return std::vector<std::vector<int64_t>>(prompts.size());
  const auto order = longest_first(prompts);
  BatchWriter writer(model, prompts, generation);
  const auto batch_size = static_cast<size_t>(generation.batch_size);
  for (size_t first = 0, batch = 0; first < order.size(); first += batch_size, ++batch) {
    if (batch % static_cast<size_t>(replica.size()) != static_cast<size_t>(replica.rank())) continue;
    writer.add_batch(std::span(order).subspan(first, std::min(batch_size, order.size() - first)));
  }
  while (replica.all_reduce_max(writer.has_work() ? 1 : 0) > 0) writer.step();
  return gather_answers(replica, writer.answers());
}

}  // namespace granule
