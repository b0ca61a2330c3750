#include "train/resume_check.h"

#include <tuple>

#include "base/text.h"
#include "train/checkpoint_directory.h"
#include "train/trained_model.h"

namespace granule {

namespace {

void check_progress(const ResumedRun& run, const Checkpoint& checkpoint) {
  const auto& train = run.config.train;
  const auto& done = checkpoint.manifest().state;
  const bool epochs = train.num_train_epochs > 0;
  if (done.step > run.train_iters) {
    throw ConfigError(epochs ? "train.num_train_epochs" : "train.train_iters",
                      epochs ? train.num_train_epochs : run.train_iters, epochs ? "makes " : "asks for ",
                      run.train_iters, " steps, but ", checkpoint.path(), " has done ", done.step,
                      "; ask for more, or give another run_dir");
  }
  const int64_t batch = train.global_batch_size;
  if (epochs && done.consumed_samples != done.step * batch) {
    throw ConfigError("train.global_batch_size", batch, "but ", checkpoint.path(), " has read ",
                      done.consumed_samples, " samples in ", done.step,
                      " steps; a run of epochs keeps its batch, so that it ends with the data");
  }
}

bool has_same_order(const ResumedRun& run, const RunConfig& before, uint64_t data_before) {
  const auto& config = run.config;
  const bool same_data =
      data_before == 0 ? before.data.train == config.data.train : data_before == run.data_fingerprint;
  // What decides which samples come when, beside the data themselves.
  const auto settings = [](const RunConfig& of) {
    return std::tuple(of.rng.seed, of.train.seq_length, of.data.weights, print_config(of.data.chat));
  };
  return same_data && settings(before) == settings(config);
}

}  // namespace

std::string check_resume(const ResumedRun& run, const Checkpoint& checkpoint) {
  check_progress(run, checkpoint);
  const auto place = checkpoint.path() + "/" + kConfigName;
  RunConfig before;
  try {
    before = config_of(checkpoint.path());
  } catch (const ConfigError& error) {
    return join_text("whether model and data are those of before cannot be told: ", error.what());
  }
  check_same_model(run.config.model, before.model, place);
  if (run.config.lora.is_on()) run.config.lora.check_same(before.lora, place);
  const auto& done = checkpoint.manifest().state;
  const bool has_read = done.consumed_samples > 0;  // nothing of an imported model
  if (!has_read || has_same_order(run, before, done.data_fingerprint)) return "";
  return join_text(
      "rng.seed, train.seq_length, data.train, data.weights, data.chat or what the files hold are not those "
      "of ",
      checkpoint.path(), ": the data come in another order, so that some are read again");
}

}  // namespace granule
