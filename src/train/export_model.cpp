#include "train/export_model.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strict_json.h"
#include "data/tokenizer.h"
#include "interchange/hugging_face_writer.h"
#include "train/checkpoint_directory.h"
#include "train/export_directory.h"
#include "train/run_directory.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

constexpr char kGenerationConfig[] = "generation_config.json";
constexpr uint64_t kMaxGenerationConfigBytes = uint64_t{1} << 20;

// Tokens that begin and end a text.
struct TextEnds {
  std::optional<int64_t> begin;
  std::optional<int64_t> end;
};

// A number, or the first of a list.
std::optional<int64_t> read_id(const JsonField& config, const char* key) {
  const auto field = config.find(key);
  if (!field) return std::nullopt;
  constexpr int64_t kMaxId = int64_t{1} << 24;
  if (!field->value().is_array()) return field->integer(0, kMaxId);
  const auto ids = field->items();
  return ids.empty() ? std::nullopt : std::optional(ids.front().integer(0, kMaxId));
}

// As the model's own generation_config.json says, else as the tokenizer does.
TextEnds find_text_ends(const TrainedRun& run) {
  TextEnds ends;
  const auto path = run.checkpoint + "/" + kGenerationConfig;
  if (fs::exists(path)) {
    const auto document = read_strict_json(path, kMaxGenerationConfigBytes);
    const JsonField config(path, document);
    ends = {read_id(config, "bos_token_id"), read_id(config, "eos_token_id")};
  }
  if (ends.end || run.tokenizer.empty()) return ends;
  try {
    const Tokenizer tokenizer(run.tokenizer);
    const auto& prefix = tokenizer.text_prefix();
    if (!ends.begin && prefix.size() == 1) ends.begin = prefix.front();
    ends.end = tokenizer.end_of_document();
  } catch (const InputError& error) {
    log_warning(join_text("config.json says nothing of bos_token_id and eos_token_id: ", error.what()));
  }
  return ends;
}

std::vector<std::string> files_of_export(const HuggingFaceWriter& writer) {
  auto names = writer.file_names();
  names.emplace_back(kTokenizerName);
  names.insert(names.end(), kTokenizerSideFiles.begin(), kTokenizerSideFiles.end());
  return names;
}

void write_generation_config(const std::string& directory, const TextEnds& ends) {
  const auto path = directory + "/" + kGenerationConfig;
  if (fs::exists(path)) return;
  nlohmann::ordered_json json = {{"_from_model_config", true}};
  if (ends.begin) json["bos_token_id"] = *ends.begin;
  if (ends.end) json["eos_token_id"] = *ends.end;
  write_text_file_durably(path, json.dump(2) + "\n");
}

}  // namespace

std::string export_model(const TrainedRun& run, const ExportOptions& options, Communicator& world) {
  const auto& config = run.config;
  const auto& architecture = choose_architecture(options.model_type, config.model);
  const auto ends = world.rank() == 0 ? find_text_ends(run) : TextEnds();
  const auto& precision = options.precision.empty() ? config.train.precision : options.precision;
  const HuggingFaceWriter writer(architecture, config.model, *run.parameters,
                                 {.dtype = precision == "bf16" ? "BF16" : "F32",
                                  .max_position_embeddings = config.train.seq_length,
                                  .bos_token_id = ends.begin,
                                  .eos_token_id = ends.end},
                                 options.max_shard_bytes);
  std::optional<ExportDirectory> directory;
  if (world.rank() == 0) {
    directory.emplace(options.directory, files_of_export(writer));
    // Without a tokenizer.json what lies beside its place travels along.
    keep_tokenizer(run.tokenizer.empty() ? tokenizer_path(run.checkpoint) : run.tokenizer, options.directory);
    write_generation_config(options.directory, ends);
  }
  world.barrier();
  for (auto shard = static_cast<size_t>(world.rank()); shard < writer.num_shards();
       shard += static_cast<size_t>(world.size())) {
    writer.write_shard(options.directory, shard);
  }
  world.barrier();
  if (directory) {
    writer.write_config(options.directory);
    directory->finish();
  }
  return architecture.model_type;
}

}  // namespace granule
