#include "model/model_config.h"

#include "base/check.h"

namespace granule {

namespace {

void check_attention(const ModelConfig& config) {
  if (config.head_dim == 0 && config.hidden_size % config.num_attention_heads != 0) {
    throw ConfigError("model.num_attention_heads", config.num_attention_heads, "must divide model.hidden_size = ",
                      config.hidden_size, ", or model.head_dim must be given");
  }
  if (config.head_dim_used() % 2 != 0) {
    throw ConfigError(config.head_dim == 0 ? "model.num_attention_heads" : "model.head_dim",
                      config.head_dim == 0 ? config.num_attention_heads : config.head_dim,
                      "gives heads of odd width ", config.head_dim_used(), "; rotary embedding turns pairs of features");
  }
  if (config.num_attention_heads % config.num_key_value_heads_used() != 0) {
    throw ConfigError("model.num_key_value_heads", config.num_key_value_heads,
                      "must divide model.num_attention_heads = ", config.num_attention_heads);
  }
}

}  // namespace

void ModelConfig::check() const {
  check_attention(*this);
  router.check();
  balance.check(router);
  if (first_k_dense_replace > num_hidden_layers) {
    throw ConfigError("model.first_k_dense_replace", first_k_dense_replace,
                      "must not exceed model.num_hidden_layers = ", num_hidden_layers);
  }
  if (router.n_routed_experts > 0 && first_k_dense_replace == num_hidden_layers) {
    throw ConfigError("model.first_k_dense_replace", first_k_dense_replace, "leaves no layer to the ",
                      router.n_routed_experts, " routed experts; a dense model has n_routed_experts = 0");
  }
}

int64_t ModelConfig::num_routed_layers() const {
  int64_t count = 0;
  for (int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    count += has_experts(layer) && router.n_routed_experts > 0;
  }
  return count;
}

}  // namespace granule
