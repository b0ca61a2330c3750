#include "tests/support/naive_moe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <vector>

namespace granule {

namespace {

at::Tensor naive_mlp(const at::Tensor& x_D, const at::Tensor& gate_FD, const at::Tensor& up_FD,
                     const at::Tensor& down_DF) {
  const auto gate_F = at::mv(gate_FD, x_D);
  const auto silu_F = gate_F / (1 + at::exp(-gate_F));
  return at::mv(down_DF, silu_F * at::mv(up_FD, x_D));
}

std::vector<int64_t> best_experts(const at::Tensor& score_E, int64_t k) {
  std::vector<std::pair<double, int64_t>> ranked;
  for (int64_t e = 0; e < score_E.numel(); ++e) ranked.emplace_back(-score_E[e].item<double>(), e);
  std::sort(ranked.begin(), ranked.end());
  std::vector<int64_t> best;
  for (int64_t i = 0; i < k; ++i) best.push_back(ranked[static_cast<size_t>(i)].second);
  return best;
}

}  // namespace

NaiveMoe naive_moe(const torch::nn::Module& layer, const ModelConfig& config, const at::Tensor& x_TD,
                   const at::Tensor& sequence_T) {
  const auto parameters = layer.named_parameters();
  const auto weight = [&](const std::string& name) { return parameters[name + ".weight"]; };
  const int64_t E = config.router.n_routed_experts, K = config.router.num_experts_per_tok;

  std::map<int64_t, at::Tensor> count_of, score_of;  // by sequence
  std::map<int64_t, int64_t> tokens_of;
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < x_TD.size(0); ++t) {
    const auto x_D = x_TD[t];
    auto y_D = at::zeros_like(x_D);
    const auto sequence = sequence_T[t].item<int64_t>();
    if (sequence >= 0) {
      const auto logit_E = at::mv(weight("gate"), x_D);
      const auto score_E = config.router.scoring_func == "softmax" ? at::exp(logit_E) / at::exp(logit_E).sum()
                                                                   : 1 / (1 + at::exp(-logit_E));
      const auto best = best_experts(score_E, K);
      auto gate_sum = at::zeros({}, score_E.options());
      for (const auto e : best) gate_sum = gate_sum + score_E[e];
      for (const auto e : best) {
        auto gate = score_E[e] * config.router.routed_scaling_factor;
        if (config.router.norm_topk_prob && K > 1) gate = gate / gate_sum;
        y_D = y_D + gate * naive_mlp(x_D, weight("experts.gate_proj")[e], weight("experts.up_proj")[e],
                                     weight("experts.down_proj")[e]);
      }
      if (!tokens_of.contains(sequence)) {
        count_of[sequence] = at::zeros({E}, score_E.options());
        score_of[sequence] = at::zeros({E}, score_E.options());
      }
      ++tokens_of[sequence];
      for (const auto e : best) count_of[sequence][e] += 1;
      score_of[sequence] = score_of[sequence] + score_E / score_E.sum();
    }
    if (config.n_shared_experts > 0) {
      y_D = y_D + naive_mlp(x_D, weight("shared_experts.gate_proj")[0], weight("shared_experts.up_proj")[0],
                            weight("shared_experts.down_proj")[0]);
    }
    rows.push_back(y_D);
  }

  auto loss = at::zeros({}, x_TD.options());
  for (const auto& [sequence, tokens] : tokens_of) {
    const double T = static_cast<double>(tokens);
    const auto frequency_E = count_of[sequence] * (static_cast<double>(E) / (static_cast<double>(K) * T));
    loss = loss + (frequency_E * score_of[sequence] / T).sum();
  }
  return {at::stack(rows), loss};
}

}  // namespace granule
