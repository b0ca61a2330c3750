#pragma once
// The shape of a model: section `model` of a config. Names are those of Hugging Face's config.json, balance and
// capacity keep Megatron's.

#include <cstdint>
#include <string>
#include <vector>

#include "model/balance.h"
#include "model/router_config.h"

namespace granule {

struct ModelConfig {
  int64_t vocab_size = 8192;
  int64_t hidden_size = 256;
  int64_t num_hidden_layers = 4;
  int64_t num_attention_heads = 4;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate_size = 704;
  int64_t moe_intermediate_size = 176;
  int64_t n_shared_experts = 0;
  int64_t first_k_dense_replace = 0;
  int64_t moe_layer_freq = 1;
  RouterConfig router;
  BalanceConfig balance;
  double rope_theta = 10000.0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  double initializer_range = 0.006;

  void visit(auto&& field) {
    field("vocab_size", vocab_size, {.min = 2, .max = 1 << 24}, "V, rows of the embedding; at least the tokenizer's size");
    field("hidden_size", hidden_size, {.min = 2, .max = 1 << 20}, "D, model width");
    field("num_hidden_layers", num_hidden_layers, {.min = 1, .max = 1024}, "blocks");
    field("num_attention_heads", num_attention_heads, {.min = 1, .max = 1024}, "H, query heads");
    field("num_key_value_heads", num_key_value_heads, {.min = 0, .max = 1024}, "key/value heads; 0: as many as query heads");
    field("head_dim", head_dim, {.min = 0, .max = 4096}, "width of a head, even; 0: hidden_size / num_attention_heads");
    field("intermediate_size", intermediate_size, {.min = 1}, "inner width of a dense layer's feed-forward");
    field("moe_intermediate_size", moe_intermediate_size, {.min = 1}, "F, inner width of one expert");
    field("n_shared_experts", n_shared_experts, {.min = 0, .max = 1024}, "experts that every token uses, weight 1; one MLP of their joint width");
    field("first_k_dense_replace", first_k_dense_replace, {.min = 0}, "the first k layers are dense");
    field("moe_layer_freq", moe_layer_freq, {.min = 1}, "of the layers after those, each whose id is a multiple of this has experts");
    router.visit(field);
    balance.visit(field);
    field("rope_theta", rope_theta, {.min = 1}, "base of the rotary embedding");
    field("rms_norm_eps", rms_norm_eps, {.min = 0, .max = 1}, "added to the mean square");
    field("tie_word_embeddings", tie_word_embeddings, {}, "the head is the embedding");
    field("initializer_range", initializer_range, {.min = 0, .max = 1}, "standard deviation of initial values (norms start at 1)");
  }

  /// Throws ConfigError for combinations that no model can have.
  void check() const;

  int64_t num_key_value_heads_used() const {
    return num_key_value_heads == 0 ? num_attention_heads : num_key_value_heads;
  }
  int64_t head_dim_used() const { return head_dim == 0 ? hidden_size / num_attention_heads : head_dim; }
  /// Whether layer `layer` (from 0) has experts, routed or always on, in place of the dense feed-forward.
  bool has_experts(int64_t layer) const {
    return router.n_routed_experts + n_shared_experts > 0 && layer >= first_k_dense_replace &&
           layer % moe_layer_freq == 0;
  }
  /// The layers in which a router chooses among experts, in order.
  std::vector<int64_t> routed_layers() const;
  int64_t num_routed_layers() const { return static_cast<int64_t>(routed_layers().size()); }
};

/// Throws ConfigError naming a setting that makes `config` compute something else from the same parameters than
/// `other`, which the file `place` says. Shapes are left to the loading of parameters; what may change on purpose,
/// balance losses and capacity, is not compared.
void check_same_model(const ModelConfig& config, const ModelConfig& other, const std::string& place);

}  // namespace granule
