#include "train/likelihood.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "base/check.h"
#include "data/batch.h"
#include "train/step.h"

namespace granule {

namespace {

// Logits held at once.
constexpr int64_t kMaxLogits = int64_t{1} << 25;

// Tokens the model reads, and the requests that are answered from what it says to them.
struct Row {
  std::vector<int64_t> tokens;
  std::vector<size_t> requests;
};

// The last token of a request is only a label.
std::vector<int64_t> tokens_read(const LikelihoodRequest& request, int64_t max_length) {
  auto tokens = request.context;
  tokens.insert(tokens.end(), request.continuation.begin(), request.continuation.end() - 1);
  if (const auto size = static_cast<int64_t>(tokens.size()); size > max_length) {
    tokens.erase(tokens.begin(), tokens.begin() + (size - max_length));
  }
  return tokens;
}

// Longest first, so that the rows of a batch are of about one length and too large ones fail at once.
std::vector<Row> rows_of(const std::vector<LikelihoodRequest>& requests, int64_t max_length) {
  std::map<std::vector<int64_t>, std::vector<size_t>> readers;
  for (size_t i = 0; i < requests.size(); ++i) {
    CHECK(!requests[i].context.empty() && !requests[i].continuation.empty(), "request ", i);
    CHECK(static_cast<int64_t>(requests[i].continuation.size()) <= max_length, "request ", i);
    readers[tokens_read(requests[i], max_length)].push_back(i);
  }
  std::vector<Row> rows;
  for (const auto& [tokens, indices] : readers) rows.push_back({tokens, indices});
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.tokens.size() > b.tokens.size(); });
  return rows;
}

// Rows padded at the end.
Batch batch_of(std::span<const Row> rows) {
  const auto B = static_cast<int64_t>(rows.size());
  int64_t S = 0;
  for (const auto& row : rows) S = std::max(S, static_cast<int64_t>(row.tokens.size()));
  Batch batch;
  batch.token_BS = at::zeros({B, S}, at::kLong);
  batch.segment_BS = at::full({B, S}, -1, at::kLong);
  for (int64_t b = 0; b < B; ++b) {
    const auto& tokens = rows[static_cast<size_t>(b)].tokens;
    std::copy(tokens.begin(), tokens.end(), batch.token_BS.mutable_data_ptr<int64_t>() + b * S);
    batch.segment_BS[b].narrow(0, 0, static_cast<int64_t>(tokens.size())).zero_();
  }
  return batch;
}

Likelihood answer(const Transformer& model, const at::Tensor& hidden_SD, const std::vector<int64_t>& labels) {
  const auto count = static_cast<int64_t>(labels.size());
  const auto label_S = at::tensor(labels, at::kLong).to(model.device());
  const int64_t step = std::max<int64_t>(1, kMaxLogits / model.config().vocab_size);
  Likelihood result{.greedy = true};
  for (int64_t begin = 0; begin < count; begin += step) {
    const int64_t size = std::min(step, count - begin);
    const auto logit_SV = model.logits(hidden_SD.narrow(0, begin, size));
    const auto label_S1 = label_S.narrow(0, begin, size).unsqueeze(1);
    const auto log_probability_S = at::log_softmax(logit_SV, 1).gather(1, label_S1);
    result.log_probability += log_probability_S.sum(at::kDouble).item<double>();
    result.greedy = result.greedy && logit_SV.argmax(1, /*keepdim=*/true).equal(label_S1);
  }
  return result;
}

// Puts the answers of a batch into `answer_N2`: log-probability, and 1 if greedy.
void run_batch(const Transformer& model, std::span<const Row> rows,
               const std::vector<LikelihoodRequest>& requests, at::Tensor& answer_N2) {
  const auto batch = batch_of(rows);
  const auto device = model.device();
  const auto hidden_TD =
      model.forward(batch.token_BS.to(device), ForwardContext{layout_of(batch).to(device)}).hidden_TD;
  const auto [B, S] = get_shape<2>(batch.token_BS);
  const auto hidden_BSD = hidden_TD.view({B, S, -1});
  for (int64_t b = 0; b < B; ++b) {
    const auto& row = rows[static_cast<size_t>(b)];
    const auto length = static_cast<int64_t>(row.tokens.size());
    for (const size_t i : row.requests) {
      const auto& labels = requests[i].continuation;
      const auto count = static_cast<int64_t>(labels.size());
      const auto result = answer(model, hidden_BSD[b].narrow(0, length - count, count), labels);
      answer_N2[static_cast<int64_t>(i)].copy_(
          at::tensor({result.log_probability, result.greedy ? 1.0 : 0.0}, at::kDouble));
    }
  }
}

}  // namespace

std::vector<Likelihood> score(const Transformer& model, Communicator& replica,
                              const std::vector<LikelihoodRequest>& requests, const ScoringLimits& limits) {
  const at::NoGradGuard no_grad;
  const auto rows = rows_of(requests, limits.max_length);
  const auto batch_size = static_cast<size_t>(limits.batch_size);
  const size_t num_batches = (rows.size() + batch_size - 1) / batch_size;
  const auto num_ranks = static_cast<size_t>(replica.size());
  const auto count = static_cast<int64_t>(requests.size());
  auto answer_N2 = at::zeros({count, 2}, at::kDouble);
  // A rank without a batch runs the last one, unheard: others may need its experts.
  auto unheard = at::zeros({count, 2}, at::kDouble);
  for (size_t first = 0; first < num_batches; first += num_ranks) {
    const size_t mine = first + static_cast<size_t>(replica.rank());
    const size_t begin = std::min(mine, num_batches - 1) * batch_size;
    run_batch(model, std::span(rows).subspan(begin, std::min(batch_size, rows.size() - begin)), requests,
              mine < num_batches ? answer_N2 : unheard);
  }
  replica.all_reduce_sum(answer_N2);

  std::vector<Likelihood> answers;
  const auto* value = answer_N2.const_data_ptr<double>();
  for (int64_t i = 0; i < count; ++i) answers.push_back({value[2 * i], value[2 * i + 1] > 0});
  return answers;
}

}  // namespace granule
