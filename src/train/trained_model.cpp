#include "train/trained_model.h"

#include <filesystem>

#include "base/check.h"
#include "base/log.h"
#include "comm/device.h"
#include "model/merged_lora.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_restore.h"
#include "train/export_directory.h"
#include "train/import_model.h"
#include "train/run_directory.h"
#include "train/run_parts.h"

namespace granule {

const std::string& TrainedModel::checked_tokenizer() const {
  if (tokenizer.empty()) throw InputError(checkpoint, "has no tokenizer.json to read and write text with");
  return tokenizer;
}

DataConfig TrainedModel::data() const {
  auto data = config.data;
  if (!tokenizer.empty()) data.tokenizer = tokenizer;
  return data;
}

namespace {

// The layout is this job's, not the run's; the batch must fit no layout, since nothing is trained. The run's tokenizer
// is read from beside the model.
std::vector<std::string> with_own_settings(const std::vector<std::string>& overrides) {
  std::vector<std::string> all{"parallel.expert=1", "parallel.data=0", "parallel.backend=auto",
                               "data.tokenizer=\"\""};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return all;
}

ConfigDocument open_hugging_face(const std::string& path, const std::vector<std::string>& overrides,
                                 TrainedRun& run) {
  auto directory = std::make_unique<HuggingFaceDirectory>(path);
  const auto text = print_config(imported_config(*directory, /*run_dir=*/""));
  run.checkpoint = path;
  run.parameters = std::move(directory);
  return ConfigDocument::from_text(text, path + "/" + kConfigJson, overrides);
}

std::unique_ptr<Checkpoint> open_checkpoint_at(World& world, const std::string& path, bool verify) {
  auto checkpoint = open_newest_checkpoint(path, world.all(), {.verify = verify});
  if (!checkpoint) {
    throw InputError(path,
                     "holds no checkpoint: neither a run directory nor a checkpoint of one nor a model of "
                     "Hugging Face");
  }
  return std::make_unique<Checkpoint>(*std::move(checkpoint));
}

void check_base_is_there(const std::string& base, const std::string& adapters) {
  if (std::filesystem::exists(base)) return;
  throw InputError(adapters, "holds adapters of ", base,
                   ", which is gone; put it back, or say with checkpoint.load where it is now");
}

// The model that `config`, of the run that made `adapters`, was to train.
std::unique_ptr<ParameterSource> merge(World& world, std::unique_ptr<ParameterSource> adapters,
                                       const RunConfig& config, bool verify) {
  check_base_is_there(config.checkpoint.load, adapters->path());
  return std::make_unique<MergedLora>(open_parameters(world, config.checkpoint.load, verify), std::move(adapters),
                                      config.lora.scale());
}

ConfigDocument open_checkpoint(World& world, const std::string& path,
                               const std::vector<std::string>& overrides, TrainedRun& run) {
  run.parameters = open_checkpoint_at(world, path, /*verify=*/true);
  run.checkpoint = run.parameters->path();
  return ConfigDocument(run.checkpoint + "/" + kConfigName, overrides);
}

}  // namespace

TrainedRun open_trained_run(World& world, const std::string& path,
                            const std::vector<std::string>& overrides) {
  if (std::filesystem::exists(path + "/" + kUnfinishedExport)) {
    throw InputError(path, "holds an export that did not finish; export into it again");
  }
  TrainedRun run;
  const auto all = with_own_settings(overrides);
  const auto document = is_hugging_face_directory(path) ? open_hugging_face(path, all, run)
                                                        : open_checkpoint(world, path, all, run);
  document.read_into<RunConfig>(run.config, [&](const RunConfig& config) {
    config.check_model(world.size());
    config.data.check_tokenizer();
  });
  const auto& named = run.config.data.tokenizer;
  run.tokenizer = named.empty() ? existing_tokenizer(run.checkpoint) : named;
  if (run.config.lora.is_on()) {
    run.parameters = merge(world, std::move(run.parameters), run.config, /*verify=*/true);
    run.config.lora.rank = 0;
  }
  return run;
}

std::unique_ptr<ParameterSource> open_parameters(World& world, const std::string& path, bool verify) {
  if (is_hugging_face_directory(path)) return std::make_unique<HuggingFaceDirectory>(path);
  std::unique_ptr<ParameterSource> checkpoint = open_checkpoint_at(world, path, verify);
  if (!holds_adapters(*checkpoint)) return checkpoint;
  const auto config = config_of(checkpoint->path());
  return merge(world, std::move(checkpoint), config, verify);
}

RunConfig config_of(const std::string& checkpoint) {
  RunConfig config;
  ConfigDocument(checkpoint + "/" + kConfigName, {}).read_into<RunConfig>(config);
  return config;
}

std::string base_of_adapters(const Checkpoint& own, const std::string& load) {
  const auto first = config_of(own.path()).checkpoint.load;
  const auto base = first.starts_with(absolute_path(load) + "/") ? first : load;
  check_base_is_there(base, own.path());
  return base;
}

TrainedModel load_trained_model(World& world, const std::string& path,
                                const std::vector<std::string>& overrides) {
  auto run = open_trained_run(world, path, overrides);
  TrainedModel trained{std::move(run.config), run.checkpoint, run.tokenizer, {}, {}};
  const auto device = open_device(world, trained.config.train.device);
  trained.mesh = std::make_unique<Mesh>(world, trained.config.parallel, device);
  trained.model = build_model(trained.config, trained.mesh->expert(), device);
  restore_parameters(*run.parameters, trained.model->placed_parameters(), world.all());
  log_info("loaded " + trained.checkpoint);
  return trained;
}

}  // namespace granule
