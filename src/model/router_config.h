#pragma once
// How a router works: the part of section `model` that it reads.

#include <cstdint>
#include <string>

namespace granule {

struct RouterConfig {
  std::string moe_router_type = "topk";
  int64_t n_routed_experts = 0;
  int64_t num_experts_per_tok = 1;
  std::string scoring_func = "softmax";
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1.0;
  std::string topk_method = "greedy";
  int64_t n_group = 1;
  int64_t topk_group = 1;
  bool moe_router_enable_expert_bias = false;
  double moe_router_bias_update_rate = 0.001;
  double moe_expert_capacity_factor = 0.0;
  std::string moe_router_hash_counts;

  void visit(auto&& field) {
    field("moe_router_type", moe_router_type, {.choices = {"topk", "hash"}},
          "topk: learned scores; hash: a fixed table by token id, made from rng.seed, one for each layer");
    field("n_routed_experts", n_routed_experts, {.min = 0, .max = 1 << 16},
          "E, experts the router chooses from; 0: none, the model is dense (or its experts are all shared)");
    field("num_experts_per_tok", num_experts_per_tok, {.min = 1, .max = 1024},
          "K, routed experts chosen for a token");
    field("scoring_func", scoring_func, {.choices = {"softmax", "sigmoid"}},
          "scores of the experts: softmax over all of them, or each by itself");
    field("norm_topk_prob", norm_topk_prob, {},
          "divide the K chosen gates by their sum (no effect for K = 1)");
    field("routed_scaling_factor", routed_scaling_factor, {.min = 0}, "factor on the chosen gates");
    field("topk_method", topk_method, {.choices = {"greedy", "group_limited_greedy", "noaux_tc"}},
          "greedy: the best K of all; the others: of the best groups, a group scored by its best expert "
          "(group_limited_greedy) or by the sum of its best two (noaux_tc)");
    field("n_group", n_group, {.min = 1},
          "groups of neighbouring experts (devices, nodes) for grouped routing");
    field("topk_group", topk_group, {.min = 1}, "M, groups that a token may reach");
    field("moe_router_enable_expert_bias", moe_router_enable_expert_bias, {},
          "a bias for each expert added to its score when choosing, never in the gate; moved towards even "
          "load");
    field("moe_router_bias_update_rate", moe_router_bias_update_rate, {.min = 0},
          "how far each step moves the bias, by the sign of (mean load - load) over the global batch");
    field("moe_expert_capacity_factor", moe_expert_capacity_factor, {.min = 0},
          "an expert takes at most ceil(factor x K x tokens / E) tokens of a sequence; 0: no limit, nothing "
          "dropped");
    field("moe_router_hash_counts", moe_router_hash_counts, {},
          "text file, line i: how often token id i (from 0) occurs; the hash table then evens out tokens, "
          "not ids");
  }

  /// Throws ConfigError for combinations that mean nothing.
  void check() const;

  bool is_hash() const { return moe_router_type == "hash"; }
  bool is_grouped() const { return n_group > 1; }
};

}  // namespace granule
