#include "train/trained_model.h"

#include <algorithm>
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
#include "train/run_tokenizer.h"
#include "train/run_parts.h"
#include "train/text_ends.h"

namespace granule {

const std::string& TrainedModel::checked_tokenizer() const {
  if (tokenizer.empty()) throw InputError(checkpoint, "has no tokenizer.json to read and write text with");
  return tokenizer;
}

std::vector<int64_t> TrainedModel::stop_ids(Tokenizer& tokenizer) const {
  return text_ends_of(checkpoint, tokenizer, learned_template(config.data, tokenizer)).end;
}

void TrainedModel::check_vocabulary(const std::vector<std::string>& files) const {
  if (!config.data.tokenizer.empty()) return;
  auto others = files;
  std::erase_if(others, [&](const auto& file) {
    const auto is_own = [&](const auto& own) { return std::ranges::find(own, file) != own.end(); };
    return is_own(config.data.train) || is_own(config.data.valid);
  });
  check_vocabularies(others, tokenizer);
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

std::unique_ptr<Checkpoint> open_checkpoint_at(World& world, const std::string& path, bool verify) {
  auto checkpoint = open_newest_checkpoint(path, world.all(), {.verify = verify});
  if (!checkpoint) {
    throw InputError(path,
                     "holds no checkpoint: neither a run directory nor a checkpoint of one nor a model of "
                     "Hugging Face");
  }
  return std::make_unique<Checkpoint>(*std::move(checkpoint));
}

constexpr const char* kMoved = "put it back, or say with checkpoint.load where it is now";
// An override would name the base of the adapters above these.
constexpr const char* kMovedBelow = "put it back; a symbolic link will do";

void check_base_is_there(const std::string& base, const std::string& adapters, const char* advice) {
  if (std::filesystem::exists(base)) return;
  throw InputError(adapters, "holds adapters of ", base, ", which is gone; ", advice);
}

// The model that `config`, of the run that made `adapters`, was to train.
std::unique_ptr<ParameterSource> merge(World& world, std::unique_ptr<Checkpoint> adapters, const RunConfig& config,
                                       bool verify) {
  auto base = open_parameters(world, config.checkpoint.load, verify);
  check_base(*adapters, fingerprint(*base), base->path());
  return std::make_unique<MergedLora>(std::move(base), std::move(adapters), config.lora.scale());
}

void read_settings(const ConfigDocument& document, const World& world, TrainedRun& run) {
  document.read_into<RunConfig>(run.config, [&](const RunConfig& config) {
    config.check_model(world.size());
    config.data.check_tokenizer();
  });
}

void open_hugging_face(const World& world, const std::string& path, const std::vector<std::string>& overrides,
                       TrainedRun& run) {
  auto directory = std::make_unique<HuggingFaceDirectory>(path);
  const auto text = print_config(imported_config(*directory, /*run_dir=*/""));
  run.checkpoint = path;
  read_settings(ConfigDocument::from_text(text, path + "/" + kConfigJson, overrides), world, run);
  run.parameters = std::move(directory);
}

void open_checkpoint(World& world, const std::string& path, const std::vector<std::string>& overrides,
                     TrainedRun& run) {
  auto checkpoint = open_checkpoint_at(world, path, /*verify=*/true);
  run.checkpoint = checkpoint->path();
  read_settings(ConfigDocument(run.checkpoint + "/" + kConfigName, overrides), world, run);
  if (holds_adapters(*checkpoint)) {
    run.config.lora.check_same(config_of(run.checkpoint).lora, run.checkpoint + "/" + kConfigName);
    check_base_is_there(run.config.checkpoint.load, run.checkpoint, kMoved);
    run.parameters = merge(world, std::move(checkpoint), run.config, /*verify=*/true);
    run.config.lora.rank = 0;
  } else {
    run.parameters = std::move(checkpoint);
  }
}

}  // namespace

TrainedRun open_trained_run(World& world, const std::string& path,
                            const std::vector<std::string>& overrides) {
  if (std::filesystem::exists(path + "/" + kUnfinishedExport)) {
    throw InputError(path, "holds an export that did not finish; export into it again");
  }
  TrainedRun run;
  const auto all = with_own_settings(overrides);
  if (is_hugging_face_directory(path)) {
    open_hugging_face(world, path, all, run);
  } else {
    open_checkpoint(world, path, all, run);
  }
  const auto& named = run.config.data.tokenizer;
  run.tokenizer = named.empty() ? existing_tokenizer(run.checkpoint) : named;
  return run;
}

std::unique_ptr<ParameterSource> open_parameters(World& world, const std::string& path, bool verify) {
  if (is_hugging_face_directory(path)) return std::make_unique<HuggingFaceDirectory>(path);
  auto checkpoint = open_checkpoint_at(world, path, verify);
  if (!holds_adapters(*checkpoint)) return checkpoint;
  const auto config = config_of(checkpoint->path());
  check_base_is_there(config.checkpoint.load, checkpoint->path(), kMovedBelow);
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
  check_base_is_there(base, own.path(), kMoved);
  return base;
}

void check_base(const Checkpoint& own, uint64_t base_fingerprint, const std::string& path) {
  const auto expected = own.manifest().state.base_fingerprint;
  if (expected == 0 || expected == base_fingerprint) return;
  throw InputError(own.path(), "holds adapters of another model than ", path,
                   "; checkpoint.load must name the one that they were made for");
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
