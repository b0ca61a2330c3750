#include "train/export_model.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strict_json.h"
#include "data/chat_template.h"
#include "interchange/hugging_face_writer.h"
#include "train/checkpoint_directory.h"
#include "train/export_directory.h"
#include "train/run_directory.h"
#include "train/run_tokenizer.h"
#include "train/text_ends.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

// What an export says of texts beside the tokenizer.
struct TextForms {
  TextEnds ends;
  std::string chat_template;  // of what has learned from conversations
};

TextForms find_text_forms(const TrainedRun& run) {
  TextForms forms{recorded_text_ends(run.checkpoint), {}};
  const auto& data = run.config.data;
  if (run.tokenizer.empty() || (!data.trains_on_chats() && !forms.ends.end.empty())) return forms;
  try {
    Tokenizer tokenizer(run.tokenizer);
    const auto chat = learned_template(data, tokenizer);
    forms.ends = text_ends_of(run.checkpoint, tokenizer, chat);
    if (chat) forms.chat_template = chat->jinja();
  } catch (const InputError& error) {
    log_warning(join_text("nothing is said of what begins and ends a text: ", error.what()));
  }
  return forms;
}

bool has_chat_template(const std::string& directory) {
  if (fs::exists(directory + "/" + kChatTemplate)) return true;
  const auto path = directory + "/tokenizer_config.json";
  if (!fs::exists(path)) return false;
  const auto document = read_strict_json(path, kMaxTokenizerBytes);
  return JsonField(path, document).find("chat_template").has_value();
}

void write_text_forms(const std::string& directory, const TextForms& forms) {
  write_text_ends(directory, forms.ends);
  if (forms.chat_template.empty()) return;
  if (has_chat_template(directory)) {
    log_info("the model keeps the chat template that it came with; that of data.chat is not written");
  } else {
    write_text_file_durably(directory + "/" + kChatTemplate, forms.chat_template);
  }
}

std::optional<int64_t> first_of(const std::vector<int64_t>& ids) {
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

std::vector<std::string> files_of_export(const HuggingFaceWriter& writer) {
  auto names = writer.file_names();
  const auto beside = tokenizer_names();
  names.insert(names.end(), beside.begin(), beside.end());
  return names;
}

}  // namespace

std::string export_model(const TrainedRun& run, const ExportOptions& options, Communicator& world) {
  const auto& config = run.config;
  const auto& architecture = choose_architecture(options.model_type, config.model);
  const auto forms = world.rank() == 0 ? find_text_forms(run) : TextForms();
  const auto& precision = options.precision.empty() ? config.train.precision : options.precision;
  const HuggingFaceWriter writer(architecture, config.model, *run.parameters,
                                 {.dtype = precision == "bf16" ? "BF16" : "F32",
                                  .max_position_embeddings = config.train.seq_length,
                                  .bos_token_id = forms.ends.begin,
                                  .eos_token_id = first_of(forms.ends.end)},
                                 options.max_shard_bytes);
  std::optional<ExportDirectory> directory;
  if (world.rank() == 0) {
    directory.emplace(options.directory, files_of_export(writer));
    // Without a tokenizer.json what lies beside its place travels along.
    keep_tokenizer(run.tokenizer.empty() ? tokenizer_path(run.checkpoint) : run.tokenizer, options.directory);
    write_text_forms(options.directory, forms);
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
