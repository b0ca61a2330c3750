#include "app/sampling_options.h"

namespace granule {

void add_sampling_options(CLI::App& command, SamplingConfig& sampling) {
  command.add_option("--max-tokens", sampling.max_tokens, "tokens to make")
      ->check(CLI::Range(int64_t{0}, kMaxTextTokens))
      ->capture_default_str();
  command.add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "only the k likeliest; 0: all")->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "only the likeliest that together reach this probability")
      ->capture_default_str();
  command.add_option("--seed", sampling.seed, "of the draws")->capture_default_str();
}

}  // namespace granule
