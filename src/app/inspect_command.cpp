#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/strict_json.h"
#include "data/summary.h"
#include "data/tokenizer.h"
#include "train/checkpoint_summary.h"
#include "train/run_parts.h"

namespace granule {

namespace {

// The config's own layout need not be this process's: a batch does not depend on it.
RunConfig load_for_inspection(const std::string& path, const std::vector<std::string>& overrides) {
  RunConfig config;
  ConfigDocument(path, overrides).read_into<RunConfig>(config);
  return config;
}

void add_batch_command(CLI::App& inspect, Command& chosen) {
  struct Arguments {
    std::string config;
    std::vector<std::string> overrides;
    int64_t step = 0;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = inspect.add_subcommand("batch", "The global batch of a step as JSON");
  command->add_option("config", arguments->config, "YAML file of the run")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command->add_option("--step", arguments->step, "from 0")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str();
  command->callback([&chosen, arguments] {
    chosen = [=](World& world) {
      const auto config = load_for_inspection(arguments->config, arguments->overrides);
      auto loader = open_training(config);
      const auto batch = loader.load(arguments->step, 0, config.train.global_batch_size);
      if (world.rank() == 0) std::cout << batch_as_json(arguments->step, batch) << '\n';
      return 0;
    };
  });
}

void add_data_command(CLI::App& inspect, Command& chosen) {
  auto prefix = std::make_shared<std::string>();
  auto* command = inspect.add_subcommand("data", "What a token file holds");
  command->add_option("prefix", *prefix, "PREFIX of PREFIX.bin and PREFIX.idx")->required();
  command->callback([&chosen, prefix] {
    chosen = [=](World& world) {
      if (world.rank() == 0) std::cout << summarize_token_file(*prefix);
      return 0;
    };
  });
}

struct TokensArguments {
  std::string tokenizer;
  bool lines = false;
  bool with_template = false;
  bool plain = false;
};

void inspect_tokens(const TokensArguments& arguments) {
  Tokenizer tokenizer(arguments.tokenizer);
  const EncodeOptions options{.with_template = arguments.with_template, .with_special = !arguments.plain};
  if (!arguments.lines) {
    const std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    std::cout << tokens_as_json(tokenizer, text, options) << '\n';
    return;
  }
  int64_t number = 1;
  for (std::string line; std::getline(std::cin, line); ++number) {
    const auto place = join_text("stdin:", number);
    const auto text = parse_strict_json(line, place);
    std::cout << tokens_as_json(tokenizer, JsonField(place, text, "(line)").text(), options) << '\n';
  }
}

void add_tokens_command(CLI::App& inspect, Command& chosen) {
  auto arguments = std::make_shared<TokensArguments>();
  auto* command = inspect.add_subcommand("tokens", "How a tokenizer sees the text on stdin, as JSON");
  command->add_option("tokenizer", arguments->tokenizer, "tokenizer.json")->required();
  command->add_flag("--lines", arguments->lines,
                    "stdin is a JSON string on each line, each a text of its own");
  command->add_flag("--template", arguments->with_template, "with what the tokenizer puts around a text");
  command->add_flag("--plain", arguments->plain, "names of special tokens are text");
  command->callback([&chosen, arguments] {
    chosen = [=](World& world) {
      if (world.rank() == 0) inspect_tokens(*arguments);
      return 0;
    };
  });
}

void add_checkpoint_command(CLI::App& inspect, Command& chosen) {
  struct Arguments {
    std::string path;
    bool skip_verify = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = inspect.add_subcommand("checkpoint", "What a checkpoint holds, and whether it is intact");
  command->add_option("path", arguments->path, "checkpoint, or run directory")->required();
  command->add_flag("--no-verify", arguments->skip_verify, "do not read and hash the files");
  command->callback([&chosen, arguments] {
    chosen = [=](World& world) {
      if (world.rank() != 0) return 0;
      const auto summary = summarize_checkpoint(arguments->path, !arguments->skip_verify);
      std::cout << summary.text;
      return static_cast<int>(summary.intact ? ExitCode::kOk : ExitCode::kInput);
    };
  });
}

void add_config_command(CLI::App& inspect, Command& chosen) {
  inspect.add_subcommand("config", "The reference of all config keys, as Markdown")->callback([&chosen] {
    chosen = [](World& world) {
      if (world.rank() == 0) std::cout << document_config<RunConfig>();
      return 0;
    };
  });
}

}  // namespace

void add_inspect_command(CLI::App& app, Command& chosen) {
  auto* inspect = app.add_subcommand(
      "inspect", "Look into a checkpoint, token file, tokenizer, batch, or the config keys");
  inspect->require_subcommand(1);
  add_batch_command(*inspect, chosen);
  add_data_command(*inspect, chosen);
  add_tokens_command(*inspect, chosen);
  add_checkpoint_command(*inspect, chosen);
  add_config_command(*inspect, chosen);
}

}  // namespace granule
