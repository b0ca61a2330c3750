#include "model/router.h"

#include "model/hash_router.h"
#include "model/top_k_router.h"

namespace granule {

std::shared_ptr<Router> make_router(const RouterConfig& config, int64_t vocab_size, int64_t hidden_size,
                                    at::TensorOptions options) {
  if (config.is_hash()) return std::make_shared<HashRouter>(config, vocab_size, options);
  return std::make_shared<TopKRouter>(config, hidden_size, options);
}

}  // namespace granule
