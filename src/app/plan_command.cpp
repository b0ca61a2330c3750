#include <iostream>

#include "app/commands.h"
#include "app/list_option.h"
#include "app/option_checks.h"
#include "train/plan_report.h"

namespace granule {

namespace {

struct PlanArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::vector<std::string> compared;
  std::string hardware;
  int64_t ranks = 0;
  int64_t pipeline = 0;
  double memory_gib = 0;
  bool search = false;
  bool json = false;
};

HardwareConfig hardware_of(const PlanArguments& arguments) {
  auto hardware = arguments.hardware.empty() ? HardwareConfig{} : load_hardware(arguments.hardware);
  if (arguments.memory_gib > 0) {
    hardware.memory_gib = arguments.memory_gib;
    hardware.reserved_gib = 0;
  }
  return hardware;
}

Plan plan_file(const std::string& path, const PlanArguments& arguments, const HardwareConfig& hardware) {
  const auto config = load_config_to_plan(path, arguments.overrides);
  auto layout = layout_of_config(config, arguments.ranks);
  if (arguments.pipeline > 0) {
    layout.pipeline = arguments.pipeline;
    if (arguments.ranks == 0) layout.ranks *= arguments.pipeline;
  }
  return make_plan(config, measure_cost(config.model, config.train.seq_length, config.lora), layout, hardware);
}

std::string compare(const PlanArguments& arguments, const HardwareConfig& hardware) {
  std::vector<NamedPlan> plans;
  for (const auto& path : arguments.compared) plans.push_back({path, plan_file(path, arguments, hardware)});
  return arguments.json ? comparison_as_json(plans) : comparison_as_text(plans);
}

std::string search(const PlanArguments& arguments, const HardwareConfig& hardware) {
  const auto config = load_config_to_plan(arguments.config, arguments.overrides);
  const auto found =
      search_layouts(config, layout_of_config(config, arguments.ranks).ranks, hardware, arguments.pipeline);
  return arguments.json ? search_as_json(found) : search_as_text(found);
}

int plan(World& world, const PlanArguments& arguments) {
  if (world.rank() != 0) return static_cast<int>(ExitCode::kOk);
  const auto hardware = hardware_of(arguments);
  if (!arguments.compared.empty()) {
    std::cout << compare(arguments, hardware);
  } else if (arguments.search) {
    std::cout << search(arguments, hardware);
  } else {
    const auto plan = plan_file(arguments.config, arguments, hardware);
    std::cout << (arguments.json ? plan_as_json(arguments.config, plan)
                                 : plan_as_text(arguments.config, plan));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace

void add_plan_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<PlanArguments>();
  auto* command =
      app.add_subcommand("plan", "What a config costs, without running it: parameters, FLOPs, memory, time");
  auto* config = command->add_option("config", arguments->config, "YAML file");
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  auto* compared = add_list_option(*command, "--compare", arguments->compared, arguments->overrides,
                                   "several YAML files, side by side");
  auto* search =
      command->add_flag("--search", arguments->search, "every layout: those that fit, why others do not");
  command
      ->add_option("--ranks,--gpus", arguments->ranks,
                   "ranks of the job; by default the product of section parallel")
      ->check(at_least(1));
  command->add_option("--pipeline", arguments->pipeline, "pipeline stages; by default 1, in a search all")
      ->check(at_least(1));
  command->add_option("--hardware", arguments->hardware,
                      "path of a YAML file, such as configs/hardware/h800.yaml; default: an H100");
  command
      ->add_option("--memory", arguments->memory_gib, "GiB that a rank may use, in place of the hardware's")
      ->check(above_zero());
  command->add_flag("--json", arguments->json, "JSON in place of tables");
  compared->excludes(config)->excludes(search);
  command->callback([&chosen, arguments] {
    if (arguments->config.empty() && arguments->compared.empty())
      throw CLI::RequiredError("config or --compare");
    chosen = [=](World& world) { return plan(world, *arguments); };
  });
}

}  // namespace granule
