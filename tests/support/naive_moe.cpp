#include "tests/support/naive_moe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace granule {

namespace {

using Ids = std::vector<int64_t>;

at::Tensor naive_mlp(const at::Tensor& x_D, const at::Tensor& gate_FD, const at::Tensor& up_FD,
                     const at::Tensor& down_DF) {
  const auto gate_F = at::mv(gate_FD, x_D);
  const auto silu_F = gate_F / (1 + at::exp(-gate_F));
  return at::mv(down_DF, silu_F * at::mv(up_FD, x_D));
}

// The k largest, of equal ones the first.
Ids best_of(const std::map<int64_t, double>& score, int64_t k) {
  std::vector<std::pair<double, int64_t>> ranked;
  for (const auto& [id, value] : score) ranked.emplace_back(-value, id);
  std::sort(ranked.begin(), ranked.end());
  Ids best;
  for (int64_t i = 0; i < k; ++i) best.push_back(ranked[static_cast<size_t>(i)].second);
  return best;
}

// What the router makes of one token.
struct TokenRouting {
  at::Tensor score_E, logit_E;
  Ids experts;  // chosen
  Ids counted;  // chosen by score alone
};

TokenRouting route_token(const torch::OrderedDict<std::string, at::Tensor>& parameters,
                         const RouterConfig& config, const RoutingIntervention& intervention,
                         const at::Tensor& x_D, const at::Tensor& token) {
  const int64_t E = config.n_routed_experts;
  const int64_t K = intervention.num_chosen > 0 ? intervention.num_chosen : config.num_experts_per_tok;
  TokenRouting routing;
  if (config.is_hash()) {
    const auto expert = parameters["gate.tid2eid"][token.item<int64_t>()].item<int64_t>();
    routing.experts = routing.counted = {expert};
    routing.score_E = at::zeros({E}, x_D.options().requires_grad(false));
    routing.score_E[expert] = 1;
    return routing;
  }
  routing.logit_E = at::mv(parameters["gate.weight"], x_D);
  routing.score_E = config.scoring_func == "softmax"
                        ? at::exp(routing.logit_E) / at::exp(routing.logit_E).sum()
                        : 1 / (1 + at::exp(-routing.logit_E));
  std::map<int64_t, double> score, merit;
  for (int64_t e = 0; e < E; ++e) {
    score[e] = merit[e] = routing.score_E[e].item<double>();
    if (config.moe_router_enable_expert_bias) {
      merit[e] += parameters["gate.e_score_correction_bias"][e].item<double>();
    }
  }
  if (config.n_group > 1) {
    const int64_t size = E / config.n_group;
    std::map<int64_t, double> group_score;
    for (int64_t g = 0; g < config.n_group; ++g) {
      std::vector<double> inside;
      for (int64_t e = g * size; e < (g + 1) * size; ++e) inside.push_back(merit[e]);
      std::sort(inside.rbegin(), inside.rend());
      group_score[g] = config.topk_method == "noaux_tc" ? inside[0] + inside[1] : inside[0];
    }
    const auto open = best_of(group_score, config.topk_group);
    for (int64_t e = 0; e < E; ++e) {
      if (std::find(open.begin(), open.end(), e / size) == open.end()) merit.erase(e);
    }
  }
  for (const auto favourite : best_of(merit, intervention.num_disabled)) merit.erase(favourite);
  routing.experts = best_of(merit, K);
  routing.counted = config.moe_router_enable_expert_bias ? best_of(score, K) : routing.experts;
  return routing;
}

// Which choices find room: [t][k].
std::vector<std::vector<bool>> with_room(const std::vector<TokenRouting>& routing, const RouterConfig& config,
                                         const Ids& sequence) {
  size_t K = 0;
  for (const auto& token : routing) K = std::max(K, token.experts.size());
  std::vector<std::vector<bool>> room(routing.size(), std::vector<bool>(K, true));
  if (config.moe_expert_capacity_factor == 0) return room;
  std::map<int64_t, double> tokens;
  for (const auto s : sequence) ++tokens[s];
  std::map<std::pair<int64_t, int64_t>, double> taken;
  for (size_t k = 0; k < K; ++k) {
    for (size_t t = 0; t < routing.size(); ++t) {
      if (sequence[t] < 0) continue;
      const double capacity = std::ceil(config.moe_expert_capacity_factor * static_cast<double>(K) *
                                        tokens[sequence[t]] / static_cast<double>(config.n_routed_experts));
      room[t][k] = ++taken[{sequence[t], routing[t].experts[k]}] <= capacity;
    }
  }
  return room;
}

void add_losses(NaiveMoe& result, const std::vector<TokenRouting>& routing, const Ids& sequence,
                const ModelConfig& config, const ForwardContext& context) {
  const auto& router = config.router;
  const auto& type = config.balance.moe_router_load_balancing_type;
  const int64_t E = router.n_routed_experts;
  const double K = static_cast<double>(router.num_experts_per_tok);
  const bool by_sequence = type == "seq_aux_loss" || type == "none";
  std::map<int64_t, std::vector<size_t>> sets;  // tokens judged together
  for (size_t t = 0; t < sequence.size(); ++t) {
    if (sequence[t] >= 0) sets[by_sequence ? sequence[t] : 0].push_back(t);
  }
  for (const auto& [set, tokens] : sets) {
    const double T = static_cast<double>(tokens.size());
    std::vector<double> frequency(static_cast<size_t>(E), 0);
    auto probability_E = at::zeros({E}, routing[tokens[0]].score_E.options().requires_grad(false));
    std::map<int64_t, double> reached;
    for (const auto t : tokens) {
      for (const auto e : routing[t].counted)
        frequency[static_cast<size_t>(e)] += static_cast<double>(E) / (K * T);
      probability_E = probability_E + routing[t].score_E / routing[t].score_E.sum();
      std::set<int64_t> groups;
      for (const auto e : routing[t].experts) groups.insert(e / (E / router.n_group));
      for (const auto g : groups) ++reached[g];
      if (routing[t].logit_E.defined()) {
        const auto log_sum = at::log(at::exp(routing[t].logit_E).sum());
        result.z_loss = result.z_loss + log_sum * log_sum * context.token_weight;
      }
    }
    probability_E = probability_E * (by_sequence ? context.sequence_weight / T : context.token_weight);
    for (int64_t e = 0; e < E; ++e) {
      result.expert_loss = result.expert_loss + probability_E[e] * frequency[static_cast<size_t>(e)];
    }
    for (int64_t e = 0; e < E; ++e) {
      const int64_t g = e / (E / router.n_group);
      result.communication_loss =
          result.communication_loss + probability_E[e] * (static_cast<double>(router.n_group) * reached[g] /
                                                          (static_cast<double>(router.topk_group) * T));
      if (config.balance.n_device_groups == 0) continue;
      const int64_t size = E / config.balance.n_device_groups, first = e / size * size;
      double mean = 0;
      for (int64_t i = first; i < first + size; ++i)
        mean += frequency[static_cast<size_t>(i)] / static_cast<double>(size);
      result.device_loss = result.device_loss + probability_E[e] * mean;
    }
  }
  const auto& balance = config.balance;
  result.total_loss = result.z_loss * balance.moe_z_loss_coeff;
  if (type == "none") return;
  result.total_loss = result.total_loss + result.expert_loss * balance.moe_aux_loss_coeff +
                      result.device_loss * balance.moe_device_aux_loss_coeff +
                      result.communication_loss * balance.moe_comm_aux_loss_coeff;
}

}  // namespace

NaiveMoe naive_moe(const torch::nn::Module& layer, const ModelConfig& config, const at::Tensor& x_TD,
                   const ForwardContext& context) {
  const auto parameters = layer.named_parameters();
  const auto weight = [&](const std::string& name) { return parameters[name + ".weight"]; };
  const auto& router = config.router;
  Ids sequence;
  std::vector<TokenRouting> routing;
  for (int64_t t = 0; t < x_TD.size(0); ++t) {
    sequence.push_back(context.layout.sequence_T[t].item<int64_t>());
    const auto token = context.layout.token_T.defined() ? context.layout.token_T[t] : at::Tensor();
    routing.push_back(router.n_routed_experts > 0 && sequence.back() >= 0
                          ? route_token(parameters, router, context.intervention, x_TD[t], token)
                          : TokenRouting{});
  }
  NaiveMoe result;
  result.expert_loss = result.device_loss = result.communication_loss = result.z_loss =
      at::zeros({}, x_TD.options().requires_grad(false));
  const auto room = with_room(routing, router, sequence);
  std::vector<at::Tensor> rows;
  for (size_t t = 0; t < routing.size(); ++t) {
    const auto x_D = x_TD[static_cast<int64_t>(t)];
    auto y_D = at::zeros_like(x_D);
    const auto& [score_E, logit_E, experts, counted] = routing[t];
    auto gate_sum = at::zeros({}, x_TD.options().requires_grad(false));
    for (const auto e : experts) gate_sum = gate_sum + score_E[e];
    for (size_t k = 0; k < experts.size(); ++k) {
      const auto e = experts[k];
      auto gate = score_E[e] * router.routed_scaling_factor;
      if (router.norm_topk_prob && router.num_experts_per_tok > 1) gate = gate / gate_sum;
      if (!room[t][k]) continue;
      y_D = y_D + gate * naive_mlp(x_D, weight("experts.gate_proj")[e], weight("experts.up_proj")[e],
                                   weight("experts.down_proj")[e]);
    }
    if (config.n_shared_experts > 0 &&
        (context.intervention.shared_experts || router.n_routed_experts == 0)) {
      y_D = y_D + naive_mlp(x_D, weight("shared_experts.gate_proj")[0], weight("shared_experts.up_proj")[0],
                            weight("shared_experts.down_proj")[0]);
    }
    rows.push_back(y_D);
    result.experts.push_back(experts);
  }
  result.y_TD = at::stack(rows);
  if (router.n_routed_experts > 0) add_losses(result, routing, sequence, config, context);
  return result;
}

}  // namespace granule
