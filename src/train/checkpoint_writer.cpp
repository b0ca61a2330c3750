#include "train/checkpoint_writer.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_shard.h"
#include "train/checkpoint_values.h"

namespace granule {

namespace {

// What went wrong in `work`, empty if nothing did. Whatever it is, the other ranks must hear of it.
template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

void write_side_file(const CheckpointFiles& files, const std::string& directory, const std::string& name,
                     const std::string& text, ShardReport& report) {
  CheckpointFile file(files, directory + "/" + name);
  file.append(text);
  file.sync();
  report.files.push_back({name, file.size(), file.hash()});
}

// Ends the attempt on all ranks if one of them failed.
void refuse_failure(const std::vector<std::string>& errors, const std::string& what) {
  for (size_t rank = 0; rank < errors.size(); ++rank) {
    if (!errors[rank].empty()) throw CheckpointError(join_text(what, ": rank ", rank, ": ", errors[rank]));
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(CheckpointWriterOptions options, Communicator& world,
                                   CheckpointFiles files)
    : options_(std::move(options)), world_(world), files_(std::move(files)) {
  std::string error;
  if (world_.rank() == 0) {
    error = error_of([&] {
      make_checkpoint_directory(options_.directory, files_);
      remove_stale_checkpoints(options_.directory, files_);
    });
  }
  refuse_failure(world_.all_gather_bytes(error), "checkpoints cannot be written");
}

void CheckpointWriter::save(const TrainState& state, const Optimizer& optimizer) {
  save({.state = state, .num_updates = optimizer.num_updates(), .layout = options_.layout},
       [&](const std::string& directory, ShardReport& report) {
         write_shard(files_, directory, shard_file_name(world_.rank()), optimizer, report);
       });
}

void CheckpointWriter::save_values(const ParameterSource& source,
                                   const std::vector<PlacedParameter>& parameters) {
  save({.has_moments = false, .layout = options_.layout},
       [&](const std::string& directory, ShardReport& report) {
         write_values(files_, directory, shard_file_name(world_.rank()), source, parameters, world_.rank(),
                      world_.size(), report);
       });
}

void CheckpointWriter::save(CheckpointManifest manifest, const WriteOwn& write_own) {
  const int64_t step = manifest.state.step;
  const auto what = join_text("no checkpoint of step ", step);
  const auto temporary = open_temporary(step);
  ShardReport report;
  const auto errors =
      world_.all_gather_bytes(error_of([&] { write_own_files(temporary, write_own, report); }));
  // All ranks have left the directory, whatever they say.
  std::string error;
  const bool all_wrote =
      std::all_of(errors.begin(), errors.end(), [](const auto& text) { return text.empty(); });
  const auto reports = all_wrote ? world_.gather_bytes(print_report(report), 0) : std::vector<std::string>();
  if (world_.rank() == 0 && all_wrote) {
    error = error_of([&] {
      merge_reports(reports, manifest);
      commit(temporary, manifest);
    });
  }
  if (world_.rank() == 0 && !(all_wrote && error.empty())) abandon(temporary);
  refuse_failure(errors, what);
  refuse_failure(world_.all_gather_bytes(error), what);
  if (world_.rank() == 0) tidy(manifest.state);
  world_.barrier();  // removing takes long where writing does
}

// Rank 0 makes the directory; all ranks get its name.
std::string CheckpointWriter::open_temporary(int64_t step) {
  std::string path, error;
  if (world_.rank() == 0) {
    path = temporary_checkpoint_path(options_.directory, step);
    error = error_of([&] { files_.make_directory(path); });
  }
  refuse_failure(world_.all_gather_bytes(error), join_text("no checkpoint of step ", step));
  return world_.broadcast_bytes(path, 0);
}

void CheckpointWriter::write_own_files(const std::string& directory, const WriteOwn& write_own,
                                       ShardReport& report) const {
  write_own(directory, report);
  if (world_.rank() != 0) return;
  write_side_file(files_, directory, kConfigName, options_.config_text, report);
  if (options_.tokenizer_path.empty()) return;
  for (const auto& [path, name] : tokenizer_files(options_.tokenizer_path)) {
    write_side_file(files_, directory, name, read_text_file(path, kMaxTokenizerBytes), report);
  }
}

void CheckpointWriter::commit(const std::string& temporary, const CheckpointManifest& manifest) const {
  const auto text = print_manifest(manifest);
  parse_manifest(text, temporary + "/" + kManifestName);  // what could not be read must not be committed
  CheckpointFile file(files_, temporary + "/" + kManifestName);
  file.append(text);
  file.sync();
  files_.sync_directory(temporary);
  files_.rename(temporary, options_.directory + "/" + checkpoint_name(manifest.state.step));
}

// What fails here costs no state: the checkpoint is complete.
void CheckpointWriter::tidy(const TrainState& state) const {
  const auto error = error_of([&] {
    write_latest(options_.directory, state.step, files_);
    if (state.skipped_in_a_row == 0) prune_checkpoints(options_.directory, options_.most_recent_k, files_);
  });
  if (!error.empty())
    log_warning(join_text("step ", state.step, " is saved, but not all was tidied up: ", error));
}

void CheckpointWriter::abandon(const std::string& temporary) const {
  const auto error = error_of([&] { files_.remove(temporary); });
  if (!error.empty()) log_warning(join_text("a broken checkpoint stays until the next start: ", error));
}

}  // namespace granule
