#include "train/trained_model.h"

#include <filesystem>

#include "base/check.h"
#include "base/log.h"
#include "comm/device.h"
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

namespace {

// The layout is this job's, not the run's; the batch must fit no layout, since nothing is trained.
std::vector<std::string> with_own_layout(const std::vector<std::string>& overrides) {
  std::vector<std::string> all{"parallel.expert=1", "parallel.data=0", "parallel.backend=auto"};
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

ConfigDocument open_checkpoint(World& world, const std::string& path,
                               const std::vector<std::string>& overrides, TrainedRun& run) {
  auto checkpoint = open_newest_checkpoint(path, world.all(), {});
  if (!checkpoint) {
    throw InputError(path,
                     "holds no checkpoint: neither a run directory nor a checkpoint of one nor a model of "
                     "Hugging Face");
  }
  run.checkpoint = checkpoint->path();
  run.parameters = std::make_unique<Checkpoint>(*std::move(checkpoint));
  return ConfigDocument(run.checkpoint + "/" + kConfigName, overrides);
}

}  // namespace

TrainedRun open_trained_run(World& world, const std::string& path,
                            const std::vector<std::string>& overrides) {
  if (std::filesystem::exists(path + "/" + kUnfinishedExport)) {
    throw InputError(path, "holds an export that did not finish; export into it again");
  }
  TrainedRun run;
  const auto all = with_own_layout(overrides);
  const auto document = is_hugging_face_directory(path) ? open_hugging_face(path, all, run)
                                                        : open_checkpoint(world, path, all, run);
  document.read_into<RunConfig>(run.config,
                                [&](const RunConfig& config) { config.check_model(world.size()); });
  run.tokenizer = existing_tokenizer(run.checkpoint);
  return run;
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
