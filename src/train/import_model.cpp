#include "train/import_model.h"

#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/log.h"
#include "model/transformer.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_writer.h"
#include "train/run_directory.h"
#include "train/run_tokenizer.h"
#include "train/text_ends.h"

namespace granule {

namespace {

// One of the same text is what an import left that did not finish.
void write_config(const std::string& run_dir, const std::string& text) {
  constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;
  const auto path = config_path(run_dir);
  if (std::filesystem::exists(path) && read_text_file(path, kMaxConfigBytes) != text) {
    throw InputError(path, "is the config of another run; give another run directory");
  }
  write_text_file_durably(path, text);
}

}  // namespace

RunConfig imported_config(const HuggingFaceDirectory& directory, const std::string& run_dir) {
  RunConfig config;
  config.run_dir = run_dir;
  config.checkpoint.load = absolute_path(directory.path());
  config.checkpoint.finetune = true;
  config.model = directory.config();
  config.train.seq_length = directory.max_position_embeddings();
  config.train.precision = directory.dtype() == "BF16" ? "bf16" : "fp32";
  return config;
}

void import_model(const std::string& path, const std::string& run_dir, Communicator& world) {
  const HuggingFaceDirectory directory(path);
  const auto config = imported_config(directory, run_dir);
  const auto config_text = print_config(config);
  std::unique_ptr<RunDirectory> lock;
  if (world.rank() == 0) {
    lock = std::make_unique<RunDirectory>(run_dir);
    if (has_begun(run_dir)) throw InputError(run_dir, "has checkpoints already; give another run directory");
    write_config(run_dir, config_text);
    keep_tokenizer(tokenizer_path(path), run_dir);
    if (const auto ends = recorded_text_ends(path); !ends.end.empty()) write_text_ends(run_dir, ends);
    if (existing_tokenizer(run_dir).empty())
      log_warning(path + " has no tokenizer.json; the run has no tokenizer");
  }
  world.barrier();
  CheckpointWriter writer({.directory = checkpoints_path(run_dir),
                           .layout = {.data = world.size()},
                           .config_text = config_text,
                           .tokenizer_path = tokenizer_path(run_dir)},
                          world);
  writer.save_values(directory, describe_parameters(config.model, config.train.dtype()));
}

}  // namespace granule
