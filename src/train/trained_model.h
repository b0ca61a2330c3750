#pragma once
// A model as a run left it: for evaluation, generation and export, on any number of ranks.

#include <memory>
#include <string>
#include <vector>

#include "comm/mesh.h"
#include "data/tokenizer.h"
#include "model/parameter_source.h"
#include "model/transformer.h"
#include "train/checkpoint.h"
#include "train/run_config.h"

namespace granule {

/// What is known of it before anything is built.
struct TrainedRun {
  RunConfig config;        ///< the run's, but for the layout; data.tokenizer only if an override names one
  std::string checkpoint;  ///< directory that was opened
  std::string tokenizer;   ///< its tokenizer.json, or that of an override; empty if there is none
  std::unique_ptr<ParameterSource> parameters;
};

struct TrainedModel {
  RunConfig config;        ///< the run's, but for the layout; data.tokenizer only if an override names one
  std::string checkpoint;  ///< directory that was loaded
  std::string tokenizer;   ///< its tokenizer.json, or that of an override; empty if there is none
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Transformer> model;

  /// `tokenizer`; throws InputError if there is none.
  const std::string& checked_tokenizer() const;
  /// What ends the texts that it writes: of one that has learned from conversations also what ends an answer.
  std::vector<int64_t> stop_ids(Tokenizer& tokenizer) const;
  /// Throws InputError for token files of another vocabulary, unless they are the run's own or an override names
  /// whose ids they are.
  void check_vocabulary(const std::vector<std::string>& files) const;
  /// Section `data`, whose text is read with `tokenizer` if there is one.
  DataConfig data() const;
};

/// `path` is a run directory (its newest checkpoint is taken), a checkpoint, or a Hugging Face directory.
/// Experts are on every rank unless an override says `parallel.expert=N`. Adapters come merged into their base,
/// so that nobody need know of them. Throws InputError, ConfigError.
/// Collective over the world.
TrainedRun open_trained_run(World& world, const std::string& path, const std::vector<std::string>& overrides);

/// The same, and the model built and loaded.
TrainedModel load_trained_model(World& world, const std::string& path,
                                const std::vector<std::string>& overrides);

/// The parameters at such a path; adapters come merged into their base. Throws InputError, ConfigError.
/// Collective over the world.
std::unique_ptr<ParameterSource> open_parameters(World& world, const std::string& path, bool verify);

/// The config kept in a checkpoint's directory. Throws ConfigError, InputError.
RunConfig config_of(const std::string& checkpoint);

/// Where the base of a LoRA run's own checkpoint is, if its config asks for `load`: the checkpoint that the run
/// began with if that is one of the run directory `load`, else `load`. Throws InputError if it is gone.
std::string base_of_adapters(const Checkpoint& own, const std::string& load);

/// Throws InputError if the adapters in `own` were made for another model than that of this fingerprint at `path`.
void check_base(const Checkpoint& own, uint64_t base_fingerprint, const std::string& path);

}  // namespace granule
