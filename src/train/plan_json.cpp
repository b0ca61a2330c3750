#include <nlohmann/json.hpp>

#include "train/plan_report.h"

namespace granule {

namespace {

using Json = nlohmann::ordered_json;

Json parameters_json(const ModelCost& cost) {
  const auto& size = cost.size;
  return {{"embedding", size.embedding},
          {"head", size.head},
          {"attention", size.attention},
          {"dense", size.dense},
          {"shared", size.shared},
          {"routed", size.routed},
          {"routed_activated", size.routed_activated},
          {"adapters", size.adapters + size.routed_adapters},
          {"adapters_activated", size.adapters_activated},
          {"router", size.router},
          {"norm", size.norm},
          {"total", size.total()},
          {"activated", size.activated()},
          {"trained", size.trained()},
          {"experts", cost.experts()},
          {"experts_activated", cost.experts_activated()}};
}

Json layout_json(const PlanLayout& layout) {
  return {{"ranks", layout.ranks},
          {"pipeline", layout.pipeline},
          {"data", layout.divides() ? Json(layout.data()) : Json(nullptr)},
          {"expert", layout.expert},
          {"micro_batch_size", layout.micro_batch_size},
          {"recompute", layout.recompute}};
}

Json memory_json(const Plan& plan) {
  return {{"parameters", plan.memory.parameters}, {"gradients", plan.memory.gradients},
          {"optimizer", plan.memory.optimizer},   {"activations", plan.memory.activations},
          {"reused", plan.memory.reused},         {"total", plan.memory.total()},
          {"allowed", plan.memory_limit()}};
}

Json step_json(const Plan& plan) {
  return {{"seconds", plan.step.total()},
          {"compute_seconds", plan.step.compute},
          {"all_to_all_seconds", plan.step.all_to_all},
          {"data_parallel_seconds", plan.step.data_parallel},
          {"pipeline_seconds", plan.step.pipeline},
          {"bubble_seconds", plan.step.bubble},
          {"all_to_all_bytes", plan.traffic.all_to_all},
          {"data_parallel_bytes", plan.traffic.data_parallel},
          {"pipeline_bytes", plan.traffic.pipeline},
          {"once_per_rank", plan.traffic.once_per_rank}};
}

Json run_json(const Plan& plan) {
  const auto& run = plan.run;
  const auto of_whole = [&](double value) { return plan.knows_steps() ? Json(value) : Json(nullptr); };
  return {{"tokens", of_whole(plan.tokens_per_step() * static_cast<double>(plan.config.train.train_iters))},
          {"seconds", of_whole(run.seconds)},
          {"rank_hours", of_whole(run.rank_hours)},
          {"checkpoint_bytes", checkpoint_bytes(plan.cost.size, plan.config.optimizer)},
          {"save_seconds", run.failures.save_stall},
          {"seconds_between_failures", run.failures.between_failures},
          {"save_interval_seconds", run.save_interval},
          {"goodput", run.goodput},
          {"best_save_interval_seconds", run.best_save_interval},
          {"best_goodput", run.best_goodput}};
}

Json plan_json(const std::string& name, const Plan& plan) {
  const auto& flops = plan.cost.flops;
  Json json = {{"name", name},
               {"hardware", plan.hardware.name},
               {"parameters", parameters_json(plan.cost)},
               {"sequence_flops",
                {{"tokens", plan.config.train.seq_length},
                 {"paper_nominal", flops.paper_nominal},
                 {"paper_configured", flops.paper_real},
                 {"causal", flops.causal}}},
               {"layout", layout_json(plan.layout)}};
  if (plan.is_laid_out()) {
    json["memory_bytes"] = memory_json(plan);
    json["step"] = step_json(plan);
    json["run"] = run_json(plan);
  }
  if (!plan.fault.empty()) json["fault"] = plan.fault;
  return json;
}

}  // namespace

std::string plan_as_json(const std::string& name, const Plan& plan) {
  return plan_json(name, plan).dump(2) + "\n";
}

std::string comparison_as_json(const std::vector<NamedPlan>& plans) {
  Json list = Json::array();
  for (const auto& [name, plan] : plans) list.push_back(plan_json(name, plan));
  return list.dump(2) + "\n";
}

std::string search_as_json(const PlanSearch& search) {
  Json json = {{"feasible", Json::array()}, {"infeasible", Json::array()}};
  for (const auto& plan : search.feasible) {
    json["feasible"].push_back({{"layout", layout_json(plan.layout)},
                                {"memory_bytes", memory_json(plan)},
                                {"step", step_json(plan)},
                                {"run", run_json(plan)}});
  }
  for (const auto& plan : search.infeasible) {
    json["infeasible"].push_back({{"layout", layout_json(plan.layout)}, {"fault", plan.fault}});
  }
  return json.dump(2) + "\n";
}

}  // namespace granule
