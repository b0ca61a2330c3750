#pragma once
// A training run from its config to its end: data -> step -> log -> validation -> checkpoint, over and over.
// What a run does is a function of its config; stopping and starting again changes nothing.

#include <chrono>
#include <memory>
#include <optional>

#include "base/check.h"
#include "comm/device.h"
#include "comm/hang_watchdog.h"
#include "comm/mesh.h"
#include "data/loader.h"
#include "data/prefetcher.h"
#include "model/model_size.h"
#include "model/transformer.h"
#include "optim/lr_schedule.h"
#include "optim/optimizer.h"
#include "train/checkpoint.h"
#include "train/checkpoint_writer.h"
#include "train/evaluate.h"
#include "train/run_config.h"
#include "train/run_directory.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/stop_signal.h"

namespace granule {

class Trainer {
 public:
  /// Builds the model and loads the newest checkpoint of the run, or what checkpoint.load names, or first
  /// values. `config` has been checked. Collective over the world. Throws InputError for missing or damaged
  /// files.
  Trainer(World& world, const RunConfig& config);

  /// Trains to the last step (kOk) or until asked to stop (kStopped, with a checkpoint). Collective.
  /// Throws NumericError after train.max_skipped_in_a_row steps with a non-finite loss or gradient.
  ExitCode run();

 private:
  using Clock = std::chrono::steady_clock;

  /// The state of the run's newest checkpoint, or of what checkpoint.load names; else first values stay.
  void restore();
  void go_on_from(const Checkpoint& checkpoint);
  /// The parameters at `path`, of any kind that checkpoint.load may name.
  std::unique_ptr<ParameterSource> open_parameters_of(const std::string& path) const;
  /// The frozen model under a run's adapters; `own` is the run's newest checkpoint, if it has one.
  void load_base(const std::optional<Checkpoint>& own);
  /// What a run writes to: config.yaml, its tokenizer, the checkpoints' writer, the log.
  void open_outputs();
  void describe_run();

  /// One step, its place in the log and the rules about non-finite numbers.
  void advance();
  void count_skipped(const StepOutcome& outcome);
  MetricRecord metrics_of(const StepOutcome& outcome, double lr);
  void add_balance(MetricRecord& record, const std::vector<RoutingStatistics>& routing) const;
  void add_routing(MetricRecord& record, const std::vector<RoutingStatistics>& routing) const;
  /// Whether something is to be done after this step that is done every `interval` steps and after the last.
  bool is_due(int64_t interval) const;
  /// Whether the step that the run goes on after has been validated. Collective.
  bool is_validated() const;
  /// False if a stop was asked for: then there is no result; the next start makes it up, or leaves it out.
  bool validate();
  void save();
  /// Seconds a step are measured from here: neither validation nor saving counts as step time.
  void restart_line_clock();
  /// Whether some rank was sent a signal, or the time is up; the same answer on all ranks.
  bool asked_to_stop();

  // First, so that nothing of the run goes by unheard or uncounted.
  StopSignal stop_signal_;
  const Clock::time_point begin_ = Clock::now();
  World& world_;
  const RunConfig config_;
  std::unique_ptr<HangWatchdog> watchdog_;
  const at::Device device_;
  Mesh mesh_;
  std::unique_ptr<RunDirectory> directory_;  // rank 0
  // Files are opened before anything large is built.
  Loader training_loader_;
  uint64_t data_fingerprint_;
  std::unique_ptr<Loader> validation_loader_;
  const at::Tensor bytes_V_;  // bytes of text of each id, for bits per byte; undefined without a tokenizer
  const int64_t train_iters_;  // steps of the whole run
  std::unique_ptr<Transformer> model_;
  Optimizer optimizer_;
  TrainStep step_;
  LrSchedule schedule_;
  const ModelSize size_;

  TrainState state_;
  int64_t first_step_ = 0;  // that this start goes on after
  int64_t saved_step_ = -1;
  bool save_is_due_ = false;  // also while it waits for a step that is not skipped
  std::string base_;  // what the adapters of a LoRA run belong to: a path that does not change under them
  uint64_t base_fingerprint_ = 0;
  std::optional<CheckpointWriter> writer_;
  std::unique_ptr<Prefetcher> training_data_;  // of training_loader_, from the first step on
  std::unique_ptr<RunLog> log_;
  Clock::time_point line_begin_ = begin_;  // since the last metrics line
  int64_t line_step_ = 0;
};

}  // namespace granule
