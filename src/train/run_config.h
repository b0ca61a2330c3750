#pragma once
// Everything a run is told: one struct per section of the YAML file, each from the module it configures. Names of
// the model section are Hugging Face's, all others Megatron's.

#include <string>
#include <vector>

#include "base/config.h"
#include "comm/mesh.h"
#include "data/data_config.h"
#include "model/lora_config.h"
#include "model/model_config.h"
#include "optim/lr_schedule.h"
#include "optim/optimizer.h"
#include "train/checkpoint_config.h"
#include "train/run_log_config.h"

namespace granule {

struct TrainConfig {
  int64_t train_iters = 1000;
  int64_t num_train_epochs = 0;
  int64_t global_batch_size = 32;
  int64_t micro_batch_size = 8;
  int64_t seq_length = 512;
  std::string device = "cpu";
  std::string precision = "fp32";
  std::string recompute_granularity = "none";
  std::string kernel_isa = "auto";
  int64_t max_skipped_in_a_row = 10;
  double exit_duration_in_mins = 0;

  /// Of the model's matrices.
  at::ScalarType dtype() const { return precision == "bf16" ? at::kBFloat16 : at::kFloat; }

  void visit(auto&& field) {
    field("train_iters", train_iters, {.min = 0}, "steps of the whole run, unless num_train_epochs is above 0");
    field("num_train_epochs", num_train_epochs, {.min = 0},
          "times that all conversations of data.train are read; above 0 it decides how many steps the run has");
    field("global_batch_size", global_batch_size, {.min = 1, .max = 1 << 30}, "sequences a step, over all ranks");
    field("micro_batch_size", micro_batch_size, {.min = 1, .max = 1 << 30}, "sequences a rank runs at once; the rest is accumulated");
    field("seq_length", seq_length, {.min = 1, .max = 1 << 24}, "S, tokens of a sequence");
    field("device", device, {.choices = {"cpu", "cuda"}},
          "where the model computes; cuda: the ranks of a machine take its GPUs in turn");
    field("precision", precision, {.choices = {"fp32", "bf16"}},
          "of matrices and activations; bf16 keeps fp32 master weights, gradients, norms and routers");
    field("recompute_granularity", recompute_granularity, {.choices = {"none", "full"}},
          "full: blocks keep only their input and run again in backward");
    field("kernel_isa", kernel_isa, {.choices = {"auto", "plain", "avx2", "avx512", "avx512_bf16"}},
          "instruction set of the CPU kernels; auto: the best this CPU has");
    field("max_skipped_in_a_row", max_skipped_in_a_row, {.min = 1},
          "so many steps in a row with a non-finite loss or gradient end the run (exit code 17)");
    field("exit_duration_in_mins", exit_duration_in_mins, {.min = 0},
          "write a checkpoint and stop (exit code 75) after so many minutes; 0: never");
  }
};

struct ValidationConfig {
  int64_t eval_interval = 0;
  int64_t eval_iters = 10;

  void visit(auto&& field) {
    field("eval_interval", eval_interval, {.min = 0}, "steps between validations; 0: only at the end");
    field("eval_iters", eval_iters, {.min = 0},
          "global batches of validation data a validation reads; 0: the whole of it");
  }
};

struct RngConfig {
  int64_t seed = 1234;

  void visit(auto&& field) { field("seed", seed, {.min = 0}, "of initial values and data order"); }
};

struct RunConfig {
  std::string run_dir;
  ModelConfig model;
  LoraConfig lora;
  DataConfig data;
  TrainConfig train;
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  ParallelConfig parallel;
  CheckpointConfig checkpoint;
  ValidationConfig validation;
  LoggerConfig logger;
  RngConfig rng;

  void visit(auto&& field) {
    field("run_dir", run_dir, {.required = true}, "directory of all that the run writes");
    field("model", model, {}, "Shape of the model. Names are those of Hugging Face's config.json.");
    field("lora", lora, {}, "Low-rank adapters: they alone are trained, the loaded model stays as it is.");
    field("data", data, {}, "Token files or conversations, and what is made of them.");
    field("train", train, {}, "Length, batch and precision.");
    field("optimizer", optimizer, {}, "AdamW; decay applies to matrices, never to norms and biases.");
    field("scheduler", scheduler, {}, "Learning rate over the run.");
    field("parallel", parallel, {}, "Layout of the ranks: pipeline x data x expert.");
    field("checkpoint", checkpoint, {}, "When state is written, and from where it is read.");
    field("validation", validation, {}, "Loss on data the model does not train on.");
    field("logger", logger, {}, "What a run shows of itself.");
    field("rng", rng, {}, "Randomness.");
  }

  /// Checks across sections, for a training job of `num_ranks`. Throws ConfigError.
  void check(int64_t num_ranks) const;
  /// Of these, what a job that only runs the model needs.
  void check_model(int64_t num_ranks) const;
};

/// Reads, overrides and checks; nothing is built. Throws ConfigError with file:line:column.
RunConfig load_run_config(const std::string& path, const std::vector<std::string>& overrides, int64_t num_ranks);

}  // namespace granule
