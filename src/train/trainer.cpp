#include "train/trainer.h"

#include <ATen/ATen.h>

#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "data/open_sources.h"
#include "interchange/hugging_face_directory.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_restore.h"
#include "train/expert_statistics.h"
#include "train/resume_check.h"
#include "train/run_parts.h"
#include "train/run_tokenizer.h"
#include "train/trained_model.h"

namespace granule {

namespace {

// A run that goes on, or begins from a model, needs no first values, nor the files they are made from; but
// adapters that begin do. Rank 0 holds the run's lock, so what it sees stays.
bool needs_first_values(const RunConfig& config, Communicator& world) {
  const bool begun = world.rank() == 0 && has_begun(config.run_dir);
  const bool from_a_model = !config.checkpoint.load.empty() && !config.lora.is_on();
  return world.all_reduce_max(int64_t{begun}) == 0 && !from_a_model;
}

std::unique_ptr<Transformer> first_model(const RunConfig& config, World& world, Communicator& expert_group,
                                         at::Device device) {
  auto model = build_model(config, expert_group, device);
  if (needs_first_values(config, world.all())) model->initialize(static_cast<uint64_t>(config.rng.seed));
  return model;
}

// Said first: conversations would miss its tokenizer before anyone missed the model.
const RunConfig& with_base_in_place(const RunConfig& config) {
  const auto& load = config.checkpoint.load;
  if (config.lora.is_on() && !std::filesystem::exists(load)) {
    throw ConfigError("checkpoint.load", load, "is the base of the adapters (lora.rank = ", config.lora.rank,
                      "), but nothing is there; put it back, or say where it is now");
  }
  return config;
}

int64_t length_of_run(const RunConfig& config, const Loader& training) {
  if (config.train.num_train_epochs == 0) return config.train.train_iters;
  config.scheduler.check(training.num_steps());
  return training.num_steps();
}

// Without a tokenizer nothing is counted in bytes; one that was asked for must be there.
at::Tensor bytes_of_ids(const World& world, const RunConfig& config) {
  config.data.check_tokenizer();
  return bytes_of_tokens(world, tokenizer_of_run(config), /*named=*/!config.data.tokenizer.empty(),
                         config.model.vocab_size);
}

// Null without validation files.
std::unique_ptr<Loader> open_validation(const RunConfig& config, int64_t num_readers) {
  if (config.data.valid.empty()) return nullptr;
  const auto& train = config.train;
  const int64_t samples = config.validation.eval_iters * train.global_batch_size;
  return std::make_unique<Loader>(
      open_validation_source(data_of_run(config), train.seq_length, config.model.vocab_size,
                             samples > 0 ? samples : SampleSource::kEndless),
      train.micro_batch_size * num_readers);
}

}  // namespace

Trainer::Trainer(World& world, const RunConfig& config)
    : world_(world),
      config_(with_base_in_place(config)),
      watchdog_(world.watch_for_hangs(std::chrono::seconds(config.parallel.timeout_seconds))),
      device_(open_device(world, config.train.device)),
      mesh_(world, config.parallel, device_),
      directory_(world.rank() == 0 ? std::make_unique<RunDirectory>(config.run_dir) : nullptr),
      training_loader_(open_training(config)),
      data_fingerprint_(training_loader_.fingerprint()),
      validation_loader_(open_validation(config, mesh_.replica().size())),
      bytes_V_(bytes_of_ids(world, config)),
      train_iters_(length_of_run(config, training_loader_)),
      model_(first_model(config, world, mesh_.expert(), device_)),
      optimizer_(trained_parameters(model_->placed_parameters()), {mesh_.world(), mesh_.replica(), mesh_.data()},
                 config.optimizer),
      step_(*model_, optimizer_, mesh_.replica(), config.train.micro_batch_size,
            config.train.recompute_granularity == "full"),
      schedule_(config.scheduler, config.optimizer.lr, config.optimizer.min_lr, train_iters_),
      size_(measure_size(*model_)) {
  restore();
  open_outputs();
  const int64_t rows = config_.train.global_batch_size / mesh_.replica().size();
  training_data_ = std::make_unique<Prefetcher>(std::move(training_loader_), state_.step,
                                                mesh_.replica().rank() * rows, rows);
}

void Trainer::restore() {
  const auto& settings = config_.checkpoint;
  const auto own = open_newest_checkpoint(checkpoints_path(config_.run_dir), world_.all(),
                                          {.verify = settings.verify, .mark_bad = true});
  if (config_.lora.is_on()) load_base(own);
  if (own) {
    const bool unused = !settings.load.empty() && !config_.lora.is_on();
    if (unused) log_info(join_text("checkpoint.load = ", settings.load, " is not read: the run has checkpoints"));
    return go_on_from(*own);
  }
  if (config_.lora.is_on()) return;
  if (settings.load.empty()) return log_info(join_text("starting from random values of rng.seed = ", config_.rng.seed));
  if (settings.finetune) {
    const auto source = open_parameters_of(settings.load);
    restore_masters(*source, optimizer_, world_.all());
    return log_info("starting from the parameters of " + source->path());
  }
  if (is_hugging_face_directory(settings.load)) {
    throw ConfigError(
        "checkpoint.finetune", false, "but checkpoint.load = ", settings.load,
        " is a model of Hugging Face, which has no optimizer state to go on with; set it to true");
  }
  const auto other = open_newest_checkpoint(settings.load, world_.all(), {.verify = settings.verify});
  if (!other) throw InputError(settings.load, "holds no checkpoint (checkpoint.load)");
  go_on_from(*other);
}

void Trainer::go_on_from(const Checkpoint& checkpoint) {
  const auto warning = check_resume({config_, train_iters_, data_fingerprint_}, checkpoint);
  if (!warning.empty() && world_.rank() == 0) log_warning(warning);
  restore_optimizer(checkpoint, optimizer_, world_.all());
  state_ = checkpoint.manifest().state;
  first_step_ = state_.step;
  training_loader_.go_on_from(state_.step, state_.consumed_samples);
  log_info(join_text("going on from ", checkpoint.path()));
}

std::unique_ptr<ParameterSource> Trainer::open_parameters_of(const std::string& path) const {
  if (is_hugging_face_directory(path)) {
    auto directory = std::make_unique<HuggingFaceDirectory>(path);
    check_same_model(config_.model, directory->config(), path + "/" + kConfigJson);
    return directory;
  }
  auto source = open_parameters(world_, path, config_.checkpoint.verify);
  check_same_model(config_.model, config_of(source->path()).model, source->path() + "/" + kConfigName);
  return source;
}

void Trainer::load_base(const std::optional<Checkpoint>& own) {
  const auto path = own ? base_of_adapters(*own, config_.checkpoint.load) : config_.checkpoint.load;
  const auto source = open_parameters_of(path);
  base_fingerprint_ = fingerprint(*source);
  if (own) check_base(*own, base_fingerprint_, source->path());
  restore_parameters(*source, split_adapters(model_->placed_parameters()).base, world_.all());
  base_ = absolute_path(source->path());
  log_info("adapters of " + base_);
}

void Trainer::open_outputs() {
  auto resolved = config_;
  if (config_.lora.is_on()) resolved.checkpoint.load = base_;
  const auto text = print_config(resolved);
  if (world_.rank() == 0) {
    write_text_file_durably(config_path(config_.run_dir), text);
    keep_tokenizer(tokenizer_of_run(config_), config_.run_dir);
  }
  world_.all().barrier();
  state_.seed = config_.rng.seed;
  state_.data_fingerprint = data_fingerprint_;
  state_.base_fingerprint = base_fingerprint_;
  // The log of a run whose checkpoints cannot be written stays as it is; what a crash left takes long to remove.
  watchdog_->set_patient(true);
  writer_.emplace(CheckpointWriterOptions{.directory = checkpoints_path(config_.run_dir),
                                          .most_recent_k = config_.checkpoint.most_recent_k,
                                          .layout = {config_.parallel.pipeline, mesh_.data().size(),
                                                     mesh_.expert().size()},
                                          .config_text = text,
                                          .tokenizer_path = tokenizer_path(config_.run_dir)},
                  world_.all());
  watchdog_->set_patient(false);
  log_ = std::make_unique<RunLog>(config_.logger, config_.run_dir, train_iters_, state_.step, world_.rank());
  log_->text("config", text);
  restart_line_clock();
  describe_run();
}

void Trainer::describe_run() {
  log_info(join_text("model: ", short_count(static_cast<double>(size_.total())), " parameters, ",
                     short_count(static_cast<double>(size_.activated())), " activated for a token",
                     size_.is_adapted() ? join_text("; adapters of rank ", config_.lora.rank, ", ",
                                                    short_count(static_cast<double>(size_.trained())), " trained")
                                        : ""));
  log_info(join_text("layout: ", world_.size(), world_.size() == 1 ? " rank" : " ranks", " = data ",
                     mesh_.data().size(), " x expert ", mesh_.expert().size(), ", ", world_.num_threads(),
                     world_.num_threads() == 1 ? " thread each, " : " threads each, ",
                     config_.train.precision));
  if (state_.step == train_iters_) {
    return log_info(join_text("run: ", config_.run_dir, ", nothing left to train: ", train_iters_, " steps are done"));
  }
  log_info(
      join_text("run: ", config_.run_dir, ", steps ", state_.step + 1, " to ", train_iters_, ", ",
                short_count(static_cast<double>(config_.train.global_batch_size * config_.train.seq_length)),
                " tokens a step"));
}

ExitCode Trainer::run() {
  // A second stop leaves it out, or a job of little time would never get beyond it.
  const bool stopped_before_validation = is_due(config_.validation.eval_interval) && !is_validated();
  if (stopped_before_validation && !validate() && state_.step == train_iters_) return ExitCode::kStopped;
  while (state_.step < train_iters_) {
    advance();
    const bool stop = asked_to_stop(), last = state_.step == train_iters_;
    // What skips its steps may be broken for good.
    const bool sound = state_.skipped_in_a_row == 0;
    save_is_due_ = save_is_due_ || is_due(config_.checkpoint.save_interval);
    if (stop || last || (sound && save_is_due_)) save();
    const bool validated = !is_due(config_.validation.eval_interval) || validate();
    if (validated && (!stop || last)) continue;
    if (saved_step_ != state_.step) save();
    log_info(join_text("stopped after step ", state_.step, "; start again to go on"));
    return ExitCode::kStopped;
  }
  return ExitCode::kOk;
}

bool Trainer::is_due(int64_t interval) const {
  return state_.step == train_iters_ || (interval > 0 && state_.step > 0 && state_.step % interval == 0);
}

bool Trainer::is_validated() const { return world_.all().all_reduce_max(int64_t{log_->has_validation()}) != 0; }

void Trainer::advance() {
  world_.set_step(state_.step + 1);
  const auto rows = training_data_->next();
  const double lr = schedule_.at(optimizer_.num_updates() + 1);
  const auto outcome = step_.run(rows, lr);
  ++state_.step;
  state_.consumed_samples += config_.train.global_batch_size;
  state_.consumed_tokens += outcome.num_tokens;
  count_skipped(outcome);
  if (outcome.num_tokens == 0 && state_.step == first_step_ + 1 && world_.rank() == 0) {
    log_warning(join_text("step ", state_.step, ": ", config_.data.train.front(), ": ", kNothingCounts));
  }
  log_->progress(state_.step, state_.consumed_tokens);
  if (log_->is_due(state_.step)) log_->step(metrics_of(outcome, lr));
}

void Trainer::count_skipped(const StepOutcome& outcome) {
  if (outcome.applied) {
    state_.skipped_in_a_row = 0;
    return;
  }
  ++state_.skipped_steps;
  ++state_.skipped_in_a_row;
  if (world_.rank() == 0) {
    log_warning(join_text("step ", state_.step, " skipped: loss ", outcome.loss, ", gradient norm ",
                          outcome.gradient_norm));
  }
  if (state_.skipped_in_a_row >= config_.train.max_skipped_in_a_row) {
    throw NumericError(
        state_.skipped_in_a_row, " steps in a row up to step ", state_.step,
        " had a non-finite loss or gradient (train.max_skipped_in_a_row); a lower optimizer.lr or a "
        "longer warm-up may help. The update of step ",
        state_.step - state_.skipped_in_a_row, " may be what broke the model: to go on from before it, move the "
        "checkpoints of that step and later ones out of ", checkpoints_path(config_.run_dir), ".");
  }
}

MetricRecord Trainer::metrics_of(const StepOutcome& outcome, double lr) {
  const std::chrono::duration<double> since_line = Clock::now() - line_begin_;
  const double step_seconds =
      since_line.count() / static_cast<double>(std::max<int64_t>(1, state_.step - line_step_));
  restart_line_clock();
  const double tokens_per_second =
      static_cast<double>(config_.train.global_batch_size * config_.train.seq_length) / step_seconds;
  const double flops =
      training_flops_per_token(config_.model, size_, config_.train.seq_length) * tokens_per_second;

  MetricRecord record;
  record.step = state_.step;
  record.consumed_samples = state_.consumed_samples;
  record.consumed_tokens = state_.consumed_tokens;
  record.add(metric::kLoss, outcome.loss);
  add_balance(record, outcome.routing);
  record.add(metric::kGradNorm, outcome.gradient_norm);
  record.add(metric::kLearningRate, lr);
  record.add(metric::kBatchSize, static_cast<double>(config_.train.global_batch_size));
  record.add(metric::kIterationTime, step_seconds);
  record.add(metric::kTokensPerSecond, tokens_per_second);
  record.add(metric::kThroughput, flops / 1e12 / world_.size());
  record.add(metric::kSkippedSteps, static_cast<double>(state_.skipped_steps));
  add_routing(record, outcome.routing);
  return record;
}

void Trainer::add_balance(MetricRecord& record, const std::vector<RoutingStatistics>& routing) const {
  if (routing.empty()) return;
  const auto add = [&](const char* name, double BalanceValues::*value) {
    double sum = 0;
    for (const auto& layer : routing) sum += layer.balance().*value;
    record.add(name, sum / static_cast<double>(routing.size()));
  };
  const auto& balance = config_.model.balance;
  add(metric::kBalanceLoss, &BalanceValues::expert);
  if (balance.moe_device_aux_loss_coeff > 0) add(metric::kDeviceBalanceLoss, &BalanceValues::device);
  if (balance.moe_comm_aux_loss_coeff > 0) add(metric::kCommunicationLoss, &BalanceValues::communication);
  if (balance.moe_z_loss_coeff > 0) add(metric::kRouterZLoss, &BalanceValues::z);
}

void Trainer::add_routing(MetricRecord& record, const std::vector<RoutingStatistics>& routing) const {
  const auto layers = config_.model.routed_layers();
  CHECK(routing.size() == layers.size(), routing.size(), " routers were heard of ", layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& statistics = routing[i];
    const auto taken_E = statistics.count_E();
    const std::span count_E(taken_E.const_data_ptr<int64_t>(), static_cast<size_t>(taken_E.numel()));
    const int64_t dropped = (statistics.chosen_E().sum() - taken_E.sum()).item<int64_t>();
    record.add_experts(
        layers[i], expert_statistics(count_E, dropped, statistics.entropy_sum(), statistics.num_tokens()));
    if (log_->expert_counts_are_due(state_.step)) record.add_expert_counts(layers[i], count_E);
  }
}

bool Trainer::validate() {
  if (!validation_loader_) return true;
  const auto evaluation = evaluate(*model_, mesh_.replica(), *validation_loader_, bytes_V_, /*intervention=*/{},
                                   [this] { return asked_to_stop(); });
  if (!evaluation.complete) {
    const bool again = state_.step == first_step_ && state_.step < train_iters_;
    log_info(join_text("the validation of step ", state_.step, again ? " is left out" : " waits for the next start"));
    return false;
  }
  if (evaluation.num_tokens == 0) {
    if (world_.rank() == 0) log_warning(join_text(config_.data.valid.front(), ": ", kNothingCounts));
    return true;
  }
  MetricRecord record;
  record.step = state_.step;
  record.consumed_samples = state_.consumed_samples;
  record.consumed_tokens = state_.consumed_tokens;
  record.add(metric::kValidationLoss, evaluation.loss);
  record.add(metric::kValidationPerplexity, evaluation.perplexity);
  if (evaluation.num_bytes > 0) record.add(metric::kValidationBitsPerByte, evaluation.bits_per_byte);
  log_->validation(record);
  restart_line_clock();
  return true;
}

void Trainer::save() {
  // A disk that is slow for one rank keeps the others waiting.
  watchdog_->set_patient(true);
  writer_->save(state_, optimizer_);
  watchdog_->set_patient(false);
  saved_step_ = state_.step;
  save_is_due_ = false;
  restart_line_clock();
}

void Trainer::restart_line_clock() {
  line_begin_ = Clock::now();
  line_step_ = state_.step;
}

bool Trainer::asked_to_stop() {
  const std::chrono::duration<double, std::ratio<60>> minutes = Clock::now() - begin_;
  const bool time_is_up =
      config_.train.exit_duration_in_mins > 0 && minutes.count() >= config_.train.exit_duration_in_mins;
  const int64_t mine = stop_signal_.received() != 0 ? stop_signal_.received() : time_is_up ? SIGALRM : 0;
  return mesh_.world().all_reduce_max(mine) != 0;
}

}  // namespace granule
