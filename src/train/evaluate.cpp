#include "train/evaluate.h"

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "base/check.h"
#include "base/log.h"
#include "data/tokenizer.h"
#include "train/step.h"

namespace granule {

namespace {

at::Tensor bytes_of_tokens(const Tokenizer& tokenizer, int64_t vocab_size) {
  auto bytes_V = at::zeros({vocab_size}, at::kLong);
  auto* bytes = bytes_V.data_ptr<int64_t>();
  for (int64_t id = 0; id < std::min(vocab_size, tokenizer.vocab_size()); ++id)
    bytes[id] = tokenizer.num_bytes(id);
  return bytes_V;
}

}  // namespace

Evaluation evaluate(const Transformer& model, Communicator& replica, Loader& loader,
                    const at::Tensor& bytes_V, const RoutingIntervention& intervention,
                    const std::function<bool()>& is_to_end) {
  const at::NoGradGuard no_grad;
  CHECK(loader.global_batch_size() % replica.size() == 0);
  const int64_t num_rows = loader.global_batch_size() / replica.size();

  Evaluation result;
  double loss_sum = 0;
  int64_t num_tokens = 0, num_bytes = 0;
  for (int64_t step = 0; step < loader.num_steps(); ++step) {
    if (is_to_end && is_to_end()) {
      result.complete = false;
      break;
    }
    const auto rows = loader.load(step, replica.rank() * num_rows, num_rows);
    ForwardContext context{layout_of(rows).to(model.device())};
    context.intervention = intervention;
    const auto label_T = rows.label_BS.flatten();
    const auto mask_T = rows.loss_mask_BS.flatten();
    const auto hidden_TD = model.forward(rows.token_BS.to(model.device()), context).hidden_TD;
    const auto losses = model.token_losses(hidden_TD, label_T.to(model.device()), mask_T.to(model.device()));
    loss_sum += losses.loss_T.sum(at::kDouble).item<double>();
    num_tokens += mask_T.sum().item<int64_t>();
    if (bytes_V.defined()) num_bytes += bytes_V.index({label_T.masked_select(mask_T)}).sum().item<int64_t>();
  }

  auto total = at::full({1}, loss_sum, at::kDouble);
  replica.all_reduce_sum(total);
  result.num_tokens = replica.all_reduce_sum(num_tokens);
  result.num_bytes = replica.all_reduce_sum(num_bytes);
  result.loss = total.item<double>() / static_cast<double>(std::max<int64_t>(1, result.num_tokens));
  result.perplexity = std::exp(result.loss);
  if (result.num_bytes > 0) {
    result.bits_per_byte = total.item<double>() / (std::numbers::ln2 * static_cast<double>(result.num_bytes));
  }
  return result;
}

at::Tensor bytes_of_tokens(const World& world, const std::string& tokenizer_path, bool named,
                           int64_t vocab_size) {
  if (!std::filesystem::exists(tokenizer_path)) return {};
  try {
    return bytes_of_tokens(Tokenizer(tokenizer_path), vocab_size);
  } catch (const InputError& error) {
    if (named) throw;
    if (world.rank() == 0) log_warning(join_text("no bits per byte: ", error.what()));
    return {};
  }
}

}  // namespace granule
