#include "train/plan_report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "base/text.h"

namespace granule {

namespace {

constexpr char kPlanOnly[] = "pipeline > 1 is a plan only: granule train runs one stage (--pipeline 1)\n";

// With so many decimals, and more where they would show less than two digits of a small value.
std::string fixed(double value, int decimals) {
  if (std::isnormal(value))
    decimals = std::max(decimals, 1 - static_cast<int>(std::floor(std::log10(std::abs(value)))));
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value;
  return text.str();
}

// 16375728128 -> "16,375,728,128".
std::string grouped(int64_t count) {
  auto digits = std::to_string(count);
  for (auto place = static_cast<int64_t>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<size_t>(place), 1, ',');
  }
  return digits;
}

std::string gib(double bytes) {
  return fixed(bytes / kGib, 2) + " GiB";
}
std::string gigabytes(double bytes) {
  return fixed(bytes / 1e9, 2) + " GB";
}
std::string seconds(double value) {
  return fixed(value, value < 10 ? 3 : 1) + " s";
}

std::string days(double seconds) {
  return seconds < 86400 ? short_duration(seconds) : fixed(seconds / 86400, 2) + " days";
}
std::string hours(double value) {
  return value < 10 ? fixed(value, 2) : short_count(value);
}

// Rows of texts in columns: the first to the left, all others to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { add(std::move(head)); }

  void add(std::vector<std::string> row) {
    width_.resize(std::max(width_.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) width_[i] = std::max(width_[i], row[i].size());
    rows_.push_back(std::move(row));
  }

  std::string text() const {
    std::string text;
    for (const auto& row : rows_) {
      std::ostringstream line;
      line << std::left << std::setw(static_cast<int>(width_[0])) << row[0] << std::right;
      for (size_t i = 1; i < row.size(); ++i)
        line << "  " << std::setw(static_cast<int>(width_[i])) << row[i];
      const auto padded = line.str();
      text += padded.substr(0, padded.find_last_not_of(' ') + 1) + '\n';
    }
    return text;
  }

 private:
  std::vector<size_t> width_;
  std::vector<std::vector<std::string>> rows_;
};

std::string describe(const PlanLayout& layout) {
  const auto data = layout.divides() ? join_text(layout.data()) : "?";
  return join_text("pipeline ", layout.pipeline, " x data ", data, " x expert ", layout.expert,
                   ", micro-batch ", layout.micro_batch_size, layout.recompute ? ", recomputed" : "");
}

std::string parameters_as_text(const ModelCost& cost) {
  const auto& size = cost.size;
  Table table({"parameters", "total", "activated"});
  const auto add = [&](const char* name, int64_t total, int64_t activated) {
    if (total > 0) table.add({std::string("  ") + name, grouped(total), grouped(activated)});
  };
  add("embedding", size.embedding, size.embedding);
  add("head", size.head, size.head);
  add("attention", size.attention, size.attention);
  add("dense feed-forward", size.dense, size.dense);
  add("shared experts", size.shared, size.shared);
  add("routed experts", size.routed, size.routed_activated);
  add("routers", size.router, size.router);
  add("norms", size.norm, size.norm);
  add("all", size.total(), size.activated());
  add("adapters, trained alone", size.adapters + size.routed_adapters, size.adapters_activated);
  return table.text();
}

std::string flops_as_text(const Plan& plan) {
  const auto& flops = plan.cost.flops;
  const auto& model = plan.config.model;
  Table table({join_text("training FLOPs of ", plan.config.train.seq_length, " tokens"), "TFLOP"});
  table.add({"  paper's convention, nominal sizes", fixed(flops.paper_nominal / 1e12, 2)});
  table.add({"  paper's convention, sizes as configured", fixed(flops.paper_real / 1e12, 2)});
  table.add({"  causal attention counted once (Megatron)", fixed(flops.causal / 1e12, 2)});
  auto text = table.text();
  if (model.num_routed_layers() > 0) {
    text += join_text("  nominal expert width ",
                      fixed(nominal_width(model.moe_intermediate_size, model.hidden_size), 1),
                      ", configured ", model.moe_intermediate_size, "\n");
  }
  return text;
}

std::string memory_as_text(const Plan& plan) {
  const auto& memory = plan.memory;
  Table table({"memory of the fullest rank", gib(memory.total())});
  table.add({"  parameters", gib(memory.parameters)});
  table.add({"  gradients", gib(memory.gradients)});
  table.add({"  optimizer", gib(memory.optimizer)});
  table.add({"  activations", gib(memory.activations)});
  if (memory.reused > 0) table.add({"  gradients in their place", join_text("-", gib(memory.reused))});
  table.add({"  allowed", gib(plan.memory_limit())});
  return table.text();
}

std::string step_as_text(const Plan& plan) {
  const auto& step = plan.step;
  const auto& traffic = plan.traffic;
  Table table({"a step on " + plan.hardware.name, seconds(step.total()), "sent by a rank"});
  table.add({"  computation", seconds(step.compute), ""});
  table.add({"  all-to-all", seconds(step.all_to_all), gigabytes(traffic.all_to_all)});
  table.add({"  data parallel", seconds(step.data_parallel), gigabytes(traffic.data_parallel)});
  if (plan.layout.pipeline > 1) {
    table.add({"  between stages", seconds(step.pipeline), gigabytes(traffic.pipeline)});
    table.add({"  waiting stages", seconds(step.bubble), ""});
  }
  auto text = table.text();
  if (traffic.all_to_all > 0) {
    text += join_text("  rows sent once per rank would be ", fixed(traffic.once_per_rank, 2),
                      " of the all-to-all\n");
  }
  return text;
}

std::string run_as_text(const Plan& plan) {
  const auto& run = plan.run;
  std::ostringstream out;
  if (!plan.knows_steps()) {
    const int64_t epochs = plan.config.train.num_train_epochs;
    out << "the run: " << epochs << (epochs == 1 ? " epoch" : " epochs")
        << "; how many steps that is, the data decide\n";
  } else if (run.best_goodput <= 0) {
    out << "the run never ends: failures come faster than it can save and start again\n";
  } else {
    const double tokens = plan.tokens_per_step() * static_cast<double>(plan.config.train.train_iters);
    out << "the run: " << grouped(plan.config.train.train_iters) << " steps of "
        << short_count(plan.tokens_per_step()) << " tokens = " << short_count(tokens) << "\n";
    out << "  " << days(run.seconds) << ", " << hours(run.rank_hours) << " rank-hours, "
        << hours(run.rank_hours / tokens * 1e12) << " for 1T tokens\n";
  }
  out << "  checkpoint " << gigabytes(checkpoint_bytes(plan.cost.size, plan.config.optimizer)) << ", "
      << seconds(run.failures.save_stall) << " to write\n";
  out << "  a failure every " << short_duration(run.failures.between_failures) << ": goodput "
      << fixed(100 * run.best_goodput, 2) << " % saving every " << short_duration(run.best_save_interval);
  if (run.save_interval > 0) {
    out << ", " << fixed(100 * run.goodput, 2) << " % with checkpoint.save_interval ("
        << short_duration(run.save_interval) << ")";
  }
  out << "\n";
  return out.str();
}

}  // namespace

std::string plan_as_text(const std::string& name, const Plan& plan) {
  std::string text = name + "\n" + parameters_as_text(plan.cost) + flops_as_text(plan);
  if (plan.is_laid_out())
    text += join_text("layout: ", plan.layout.ranks, " ranks = ", describe(plan.layout), "\n");
  if (plan.is_laid_out()) text += memory_as_text(plan) + step_as_text(plan) + run_as_text(plan);
  if (!plan.fault.empty()) text += "cannot run: " + plan.fault + "\n";
  if (plan.layout.pipeline > 1) text += kPlanOnly;
  return text;
}

std::string comparison_as_text(const std::vector<NamedPlan>& plans) {
  Table table({"system", "parameters", "activated", "experts", "activated", "tokens", "TFLOP nominal",
               "configured", "causal", "run ZFLOP", "checkpoint"});
  for (const auto& [name, plan] : plans) {
    const auto& cost = plan.cost;
    const auto billions = [](int64_t count) { return fixed(static_cast<double>(count) / 1e9, 2) + "B"; };
    const double sequences =
        static_cast<double>(plan.config.train.train_iters * plan.config.train.global_batch_size);
    table.add({name, billions(cost.size.total()), billions(cost.size.activated()), billions(cost.experts()),
               billions(cost.experts_activated()), join_text(plan.config.train.seq_length),
               fixed(cost.flops.paper_nominal / 1e12, 1), fixed(cost.flops.paper_real / 1e12, 1),
               fixed(cost.flops.causal / 1e12, 1),
               plan.knows_steps() ? fixed(sequences * cost.flops.causal / 1e21, 2) : "?",
               gigabytes(checkpoint_bytes(cost.size, plan.config.optimizer))});
  }
  return table.text();
}

std::string search_as_text(const PlanSearch& search) {
  Table table({"layouts that fit, fastest first", "step", "memory", "days", "rank-hours"});
  for (const auto& plan : search.feasible) {
    const bool ends = std::isfinite(plan.run.seconds);
    const auto length = [&](const std::string& text) {
      return !plan.knows_steps() ? "?" : ends ? text : "never";
    };
    table.add({"  " + describe(plan.layout), seconds(plan.step.total()), gib(plan.memory.total()),
               length(fixed(plan.run.seconds / 86400, 2)), length(short_count(plan.run.rank_hours))});
  }
  Table reasons({"layouts that do not"});
  for (const auto& plan : search.infeasible) {
    auto layout = "  " + describe(plan.layout);
    layout.resize(std::max<size_t>(layout.size(), 66), ' ');
    reasons.add({layout + "  " + plan.fault});
  }
  const bool has_stages = std::any_of(search.feasible.begin(), search.feasible.end(),
                                      [](const Plan& plan) { return plan.layout.pipeline > 1; });
  return table.text() + (has_stages ? kPlanOnly : "") + reasons.text();
}

}  // namespace granule
