#include "train/run_config.h"

namespace granule {

namespace {

void check_batch(const RunConfig& config, int64_t num_ranks) {
  const int64_t readers = num_ranks / config.parallel.pipeline;
  const int64_t product = readers * config.train.micro_batch_size;
  if (config.train.global_batch_size % product != 0) {
    throw ConfigError("train.global_batch_size", config.train.global_batch_size, "must be a multiple of ", product,
                      " = train.micro_batch_size ", config.train.micro_batch_size, " x ", readers,
                      " ranks (data x expert)");
  }
}

void check_experts(const RunConfig& config) {
  const int64_t experts = config.model.router.n_routed_experts;
  if (experts % config.parallel.expert != 0) {
    throw ConfigError("parallel.expert", config.parallel.expert, "must divide model.n_routed_experts = ", experts);
  }
  if (experts == 0 && config.parallel.expert > 1) {
    throw ConfigError("parallel.expert", config.parallel.expert,
                      "splits routed experts over ranks, but model.n_routed_experts = 0; use parallel.data");
  }
}

void check_lora(const RunConfig& config) {
  config.lora.check();
  if (!config.lora.is_on()) return;
  if (config.checkpoint.load.empty()) {
    throw ConfigError("lora.rank", config.lora.rank,
                      "adapts a trained model, but checkpoint.load is empty; it must name a run, a checkpoint or a "
                      "Hugging Face directory");
  }
  if (!config.checkpoint.finetune) {
    throw ConfigError("checkpoint.finetune", false, "but lora.rank = ", config.lora.rank,
                      " trains adapters of the model in checkpoint.load; set it to true");
  }
}

}  // namespace

void RunConfig::check(int64_t num_ranks) const {
  if (run_dir.empty()) throw ConfigError("run_dir", "\"\"", "must name a directory");
  for (const auto& [key, path] : {std::pair("run_dir", &run_dir), std::pair("checkpoint.load", &checkpoint.load)}) {
    if (path->starts_with("~")) throw ConfigError(key, *path, "begins with ~, which means nothing here; write it out");
  }
  check_model(num_ranks);
  model.balance.check_training();
  data.check();
  check_lora(*this);
  optimizer.check();
  if (train.num_train_epochs == 0) scheduler.check(train.train_iters);
  check_batch(*this, num_ranks);
}

void RunConfig::check_model(int64_t num_ranks) const {
  model.check();
  parallel.check(num_ranks);
  check_experts(*this);
}

RunConfig load_run_config(const std::string& path, const std::vector<std::string>& overrides, int64_t num_ranks) {
  RunConfig config;
  ConfigDocument(path, overrides).read_into<RunConfig>(config, [&](const RunConfig& read) { read.check(num_ranks); });
  return config;
}

}  // namespace granule
