#include "train/run_parts.h"

#include "data/open_sources.h"
#include "ops/isa.h"
#include "train/run_tokenizer.h"

namespace granule {

std::unique_ptr<Transformer> build_model(const RunConfig& config, Communicator& expert_group,
                                         at::Device device) {
  set_kernel_isa(config.train.kernel_isa);
  auto model = std::make_unique<Transformer>(config.model, expert_group, config.train.dtype(), device);
  if (config.lora.is_on()) model->adapt(config.lora, static_cast<uint64_t>(config.rng.seed));
  return model;
}

Loader open_training(const RunConfig& config) {
  const auto& train = config.train;
  check_tokenizer_of_run(config);
  return Loader(open_training_source(data_of_run(config), train.seq_length, config.model.vocab_size,
                                     static_cast<uint64_t>(config.rng.seed), train.num_train_epochs),
                train.global_batch_size);
}

}  // namespace granule
