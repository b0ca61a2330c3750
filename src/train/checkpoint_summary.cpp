#include "train/checkpoint_summary.h"

#include <filesystem>
#include <iomanip>
#include <map>
#include <sstream>

#include "base/hash.h"
#include "base/text.h"
#include "model/merged_lora.h"
#include "train/checkpoint.h"
#include "train/checkpoint_directory.h"
#include "train/trained_model.h"

namespace granule {

namespace {

void print_state(const CheckpointManifest& manifest, std::ostream& out) {
  const auto& state = manifest.state;
  const auto& layout = manifest.layout;
  out << "  step " << state.step << ", " << manifest.num_updates << " updates, " << state.skipped_steps
      << " skipped; seed " << state.seed << "\n";
  out << "  trained on " << state.consumed_samples << " samples, "
      << short_count(static_cast<double>(state.consumed_tokens)) << " tokens\n";
  out << "  written by " << layout.pipeline * layout.data * layout.expert << " ranks = pipeline "
      << layout.pipeline << " x data " << layout.data << " x expert " << layout.expert << "\n";
}

void print_parameters(const CheckpointManifest& manifest, std::ostream& out) {
  struct Group {
    int64_t tensors = 0;
    int64_t elements = 0;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  Group all;
  for (const auto& parameter : manifest.parameters) {
    for (auto* group : {&groups[{parameter.placement, parameter.dtype}], &all}) {
      ++group->tensors;
      group->elements += parameter.num_elements();
    }
  }
  out << "  parameters: " << short_count(static_cast<double>(all.elements)) << " in " << all.tensors
      << " tensors, each kept in F32 "
      << (manifest.has_moments ? "with both moments\n" : "without moments\n");
  for (const auto& [kind, group] : groups) {
    out << "    " << std::left << std::setw(8) << kind.first << std::setw(6) << kind.second << std::right
        << std::setw(8) << short_count(static_cast<double>(group.elements)) << " in " << group.tensors
        << " tensors\n";
  }
}

// Of a LoRA run: to which model the adapters belong.
void print_base(const Checkpoint& checkpoint, std::ostream& out) {
  if (!holds_adapters(checkpoint)) return;
  const auto config = config_of(checkpoint.path());
  out << "  LoRA adapters of rank " << config.lora.rank << ", alpha " << config.lora.alpha << ", on "
      << join(config.lora.target_modules, ", ") << "\n  of the model in " << config.checkpoint.load
      << (std::filesystem::exists(config.checkpoint.load) ? "" : ", which is GONE") << "\n";
}

// What is wrong with the file; empty if nothing is.
std::string damage_of(const Checkpoint& checkpoint, size_t index) {
  try {
    checkpoint.verify_file(index);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

}  // namespace

CheckpointSummary summarize_checkpoint(const std::string& path, bool verify) {
  const auto found = find_checkpoints(path);
  if (found.empty()) throw InputError(path, "holds no checkpoint");
  const Checkpoint checkpoint(found.front().path);
  const auto& manifest = checkpoint.manifest();

  CheckpointSummary summary;
  std::ostringstream out;
  out << checkpoint.path() << "\n";
  print_state(manifest, out);
  print_base(checkpoint, out);
  print_parameters(manifest, out);
  uint64_t bytes = 0;
  for (const auto& file : manifest.files) bytes += file.bytes;
  out << "  files: " << manifest.files.size() << ", " << short_count(static_cast<double>(bytes)) << " bytes, "
      << (verify ? "hashes verified" : "sizes verified, hashes not") << "\n";
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    const auto& file = manifest.files[i];
    const auto damage = verify ? damage_of(checkpoint, i) : "";
    summary.intact = summary.intact && damage.empty();
    out << "    " << std::left << std::setw(24) << file.name << std::right << std::setw(14) << file.bytes
        << "  " << hash_text(file.hash) << (verify && damage.empty() ? "  ok" : "") << "\n";
    if (!damage.empty()) out << "      DAMAGED: " << damage << "\n";
  }
  summary.text = out.str();
  return summary;
}

}  // namespace granule
