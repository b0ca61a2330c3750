#pragma once
// Writing checkpoints so that none is ever half visible. Every rank writes its own slices into a temporary
// directory, durably; only if all of them say so rank 0 adds the manifest, renames the directory into place
// and then removes old checkpoints. Whatever stops a process at whatever moment, the newest complete
// checkpoint loads.

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/placement.h"
#include "model/parameter_source.h"
#include "optim/optimizer.h"
#include "train/checkpoint_files.h"
#include "train/checkpoint_manifest.h"
#include "train/checkpoint_shard.h"

namespace granule {

/// A checkpoint could not be written; the ones before are as they were. If only its new name could not be
/// made durable, it may be there all the same, whole. Thrown on all ranks with the same text, which names the
/// rank, the path and the system's reason.
class CheckpointError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct CheckpointWriterOptions {
  std::string directory;      ///< holds all checkpoints of the run; made if missing, its parent must exist
  int64_t most_recent_k = 3;  ///< how many stay
  CheckpointLayout layout;
  std::string config_text;     ///< kept as config.yaml, for people and tools
  std::string tokenizer_path;  ///< copied, and kTokenizerSideFiles beside it, if they are there; empty: none
};

class CheckpointWriter {
 public:
  /// Makes the directory and removes what killed processes left in it. `world` must outlive the writer.
  /// Collective; throws CheckpointError.
  CheckpointWriter(CheckpointWriterOptions options, Communicator& world, CheckpointFiles files = {});

  /// Writes step-N and points `latest` to it. Older ones than most_recent_k go, but not while steps are being
  /// skipped: the last from before may be all that is sound. Collective; throws CheckpointError.
  void save(const TrainState& state, const Optimizer& optimizer);

  /// Writes step-0 of a model that comes from elsewhere, values alone, streamed. `parameters` are those of
  /// the whole model; only what describes them is looked at. Collective; throws CheckpointError.
  void save_values(const ParameterSource& source, const std::vector<PlacedParameter>& parameters);

 private:
  /// Writes this rank's shard into the directory and adds it to the report.
  using WriteOwn = std::function<void(const std::string& directory, ShardReport& report)>;
  /// `manifest` is complete but for files and parameters.
  void save(CheckpointManifest manifest, const WriteOwn& write_own);
  std::string open_temporary(int64_t step);
  void write_own_files(const std::string& directory, const WriteOwn& write_own, ShardReport& report) const;
  void commit(const std::string& temporary, const CheckpointManifest& manifest) const;
  void tidy(const TrainState& state) const;
  void abandon(const std::string& temporary) const;

  const CheckpointWriterOptions options_;
  Communicator& world_;
  const CheckpointFiles files_;
};

}  // namespace granule
