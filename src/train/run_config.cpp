#include "train/run_config.h"

#include "train/run_directory.h"

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

void RunConfig::adopt_tokenizer() {
  const bool has_chats = data.trains_on_chats() || data.validates_on_chats();
  if (!has_chats || !data.tokenizer.empty()) return;
  if (has_begun(run_dir)) data.tokenizer = existing_tokenizer(run_dir);
  if (data.tokenizer.empty() && !checkpoint.load.empty()) data.tokenizer = tokenizer_of_model(checkpoint.load);
}

void RunConfig::check_vocabulary() const {
  if (!data.tokenizer.empty()) return;
  auto tokenizer = has_begun(run_dir) ? existing_tokenizer(run_dir) : "";
  if (tokenizer.empty() && !checkpoint.load.empty()) tokenizer = tokenizer_of_model(checkpoint.load);
  if (tokenizer.empty()) tokenizer = data.tokenizer_path();
  check_vocabularies(data.train, tokenizer);
  check_vocabularies(data.valid, tokenizer);
}

RunConfig load_run_config(const std::string& path, const std::vector<std::string>& overrides, int64_t num_ranks) {
  RunConfig config;
  ConfigDocument(path, overrides).read_into<RunConfig>(config, [&](const RunConfig& read) { read.check(num_ranks); });
  config.adopt_tokenizer();
  check_same_tokenizer(config.data.tokenizer_path(), config.run_dir);
  return config;
}

}  // namespace granule
