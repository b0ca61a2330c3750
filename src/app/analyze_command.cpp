#include <iostream>
#include <set>

#include "app/commands.h"
#include "app/list_option.h"
#include "app/option_checks.h"
#include "base/check.h"
#include "train/expert_analysis_report.h"

namespace granule {

namespace {

struct AnalyzeArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::vector<std::string> data;
  AnalysisOptions options;
  bool json = false;
};

// NAME=PREFIX, or a prefix whose directory is the name: corpus/code/valid is "code".
NamedData named(const std::string& said) {
  const auto equals = said.find('=');
  if (equals != std::string::npos) return {said.substr(0, equals), said.substr(equals + 1)};
  const auto slash = said.rfind('/');
  if (slash == std::string::npos || slash == 0) return {said, said};
  return {said.substr(said.rfind('/', slash - 1) + 1, slash - 1 - said.rfind('/', slash - 1)), said};
}

std::vector<NamedData> named_sets(const std::vector<std::string>& said) {
  std::vector<NamedData> sets;
  std::set<std::string> names;
  for (const auto& one : said) {
    sets.push_back(named(one));
    const auto& [name, prefix] = sets.back();
    if (name.empty() || prefix.empty()) throw ConfigError("--data", one, "must be a prefix or NAME=PREFIX");
    if (!names.insert(name).second)
      throw ConfigError("--data", one, "has a name that is taken: say NAME=PREFIX");
  }
  return sets;
}

int analyze(World& world, const AnalyzeArguments& arguments) {
  const auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  const auto sets = named_sets(arguments.data.empty() ? trained.config.data.valid : arguments.data);
  if (sets.empty()) throw ConfigError("--data", "", "is needed: the run has no validation files of its own");
  for (const auto& set : sets) trained.check_vocabulary({set.prefix});
  const auto analysis = analyze_experts(trained, sets, arguments.options);
  if (world.rank() == 0) {
    std::cout << (arguments.json ? analysis_as_json(trained, analysis) : analysis_as_text(trained, analysis));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace

void add_analyze_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<AnalyzeArguments>();
  auto* command =
      app.add_subcommand("analyze", "What the experts of a model are for, on one or several data sets");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  add_list_option(*command, "--data", arguments->data, arguments->overrides,
                  "token files as PREFIX or NAME=PREFIX; default: the run's validation files");
  command->add_option("--batch-size", arguments->options.batch_size, "sequences a rank runs at once")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--tokens", arguments->options.max_tokens, "of each set, evenly spread; default: all")
      ->check(at_least(1));
  command->add_flag("--json", arguments->json, "print one JSON object");
  command->callback(
      [&chosen, arguments] { chosen = [=](World& world) { return analyze(world, *arguments); }; });
}

}  // namespace granule
