#include "tests/support/device_training.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "base/check.h"
#include "comm/mesh.h"
#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/support/small_batch.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"
#include "train/checkpoint_restore.h"
#include "train/checkpoint_writer.h"
#include "train/step.h"
#include "train/text_generator.h"

namespace granule {

namespace {

constexpr int64_t kSteps = 4;

// AdamW's first step is lr * g / (|g| + eps): where g is no larger than eps, the last digits of g decide.
// Gradients here agree with fp64 to 1e-6 of their norm on either side, some elements being 1e-8 themselves.
const OptimizerConfig kOptimizer{.adam_eps = 1e-6};

ModelConfig config_of(const DeviceTraining& training) {
  auto config = small_config();
  config.balance.moe_aux_loss_coeff = 0.05;
  if (training.every_loss) {
    auto& router = config.router;
    as_v3(router);
    router.moe_expert_capacity_factor = 1.25;
    config.balance.moe_router_load_balancing_type = "global_aux_loss";
    config.balance.n_device_groups = 2;
    config.balance.moe_device_aux_loss_coeff = 0.05;
    config.balance.moe_comm_aux_loss_coeff = 0.05;
    config.balance.moe_z_loss_coeff = 0.01;
  }
  config.check();
  return config;
}

// A model in training on one device.
struct Run {
  Run(World& world, int64_t expert, at::Device device, const DeviceTraining& training)
      : mesh(world, {.expert = expert, .backend = device.is_cpu() ? "auto" : training.backend}, device),
        model(config_of(training), mesh.expert(), training.dtype, device),
        optimizer(initialized(model).placed_parameters(), {mesh.world(), mesh.replica(), mesh.data()},
                  kOptimizer),
        step(model, optimizer, mesh.replica(), std::min<int64_t>(2, rows()), training.recompute) {}

  static Transformer& initialized(Transformer& model) {
    model.initialize(17);
    return model;
  }
  int64_t rows() { return kSmallRows / mesh.replica().size(); }
  StepOutcome train(int64_t number) {
    return step.run(small_batch(number, mesh.replica().rank() * rows(), rows(), number % 2 == 1), 1e-2);
  }
  std::map<std::string, at::Tensor> parameters() const {
    std::map<std::string, at::Tensor> values;
    for (const auto& item : model.named_parameters()) values[item.key()] = item.value().detach().to(at::kCPU);
    return values;
  }

  Mesh mesh;
  Transformer model;
  Optimizer optimizer;
  TrainStep step;
};

void expect_near(double actual, double expected, double tolerance, const char* what) {
  EXPECT_NEAR(actual, expected, tolerance * std::abs(expected)) << what;
}

void expect_same_outcome(const StepOutcome& actual, const StepOutcome& expected, double tolerance,
                         bool same_routing) {
  expect_near(actual.loss, expected.loss, tolerance, "loss");
  expect_near(actual.gradient_norm, expected.gradient_norm, 10 * tolerance, "gradient norm");
  EXPECT_TRUE(actual.applied);
  EXPECT_EQ(actual.num_tokens, expected.num_tokens);
  ASSERT_EQ(actual.routing.size(), expected.routing.size());
  for (size_t i = 0; i < actual.routing.size() && same_routing; ++i) {
    EXPECT_TRUE(actual.routing[i].count_E().equal(expected.routing[i].count_E())) << "routed layer " << i;
    expect_near(actual.routing[i].balance().expert, expected.routing[i].balance().expert, tolerance, "balance");
  }
}

void expect_same_parameters(const Run& actual, const Run& expected, double tolerance) {
  const auto theirs = expected.parameters();
  for (const auto& [name, value] : actual.parameters()) {
    EXPECT_TENSOR_NEAR(value, theirs.at(name), tolerance) << name;
  }
}

std::vector<int64_t> continuation(const Run& run, World& world) {
  std::vector<int64_t> ids;
  TextGenerator(run.model, world.all(), 3 + 6)
      .generate({3, 1, 4}, {.temperature = 0, .max_tokens = 6}, {}, [&](int64_t id) {
        ids.push_back(id);
        return true;
      });
  return ids;
}

}  // namespace

void expect_training_like_cpu(World& world, at::Device device, const DeviceTraining& training) {
  for (int64_t expert = 1; expert <= world.size(); ++expert) {
    if (world.size() % expert != 0) continue;
    SCOPED_TRACE(join_text("expert parallel ", expert, " of ", world.size()));
    Run on_device(world, expert, device, training), on_cpu(world, expert, at::kCPU, training);
    expect_same_parameters(on_device, on_cpu, 0);
    for (int64_t step = 0; step < kSteps; ++step) {
      SCOPED_TRACE(join_text("step ", step));
      const auto actual = on_device.train(step), expected = on_cpu.train(step);
      // In bf16 a score may round to the other side of its neighbour.
      expect_same_outcome(actual, expected, training.loss_tolerance, training.dtype == at::kFloat);
    }
    expect_same_parameters(on_device, on_cpu, training.state_tolerance);
  }
}

void expect_checkpoint_travels(World& world, at::Device device, const std::string& directory) {
  const DeviceTraining training;
  Run written(world, world.size(), device, training);
  written.train(0);
  CheckpointWriter writer({.directory = directory, .layout = {1, 1, world.size()}, .config_text = "{}"},
                          world.all());
  writer.save({.step = 1}, written.optimizer);
  for (const auto read_on : {at::Device(at::kCPU), device}) {
    SCOPED_TRACE(join_text("read on ", read_on));
    Run read(world, world.size(), read_on, training);
    restore_optimizer(*open_newest_checkpoint(directory, world.all(), {}), read.optimizer, world.all());
    expect_same_parameters(read, written, 0);
    for (size_t i = 0; i < read.optimizer.shards().size(); ++i) {
      const auto &actual = read.optimizer.shards()[i], &expected = written.optimizer.shards()[i];
      EXPECT_TRUE(actual.exp_avg.to(at::kCPU).equal(expected.exp_avg.to(at::kCPU)));
      EXPECT_TRUE(actual.exp_avg_sq.to(at::kCPU).equal(expected.exp_avg_sq.to(at::kCPU)));
    }
    EXPECT_EQ(continuation(read, world), continuation(written, world));
  }
}

}  // namespace granule
