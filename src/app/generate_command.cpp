#include <iostream>
#include <iterator>

#include "app/commands.h"
#include "data/text_stream.h"
#include "data/tokenizer.h"
#include "train/generate.h"
#include "train/trained_model.h"

namespace granule {

namespace {

struct GenerateArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::string prompt;
  bool has_prompt = false;
  SamplingConfig sampling;
};

// Rank 0 reads what was given or, without --prompt, all of stdin; the others hear it from rank 0.
std::string read_prompt(World& world, const GenerateArguments& arguments) {
  std::string prompt = arguments.prompt;
  if (!arguments.has_prompt && world.rank() == 0) {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  return world.all().all_gather_bytes(prompt).front();
}

std::vector<int64_t> prompt_ids(Tokenizer& tokenizer, const std::string& prompt) {
  auto ids = tokenizer.encode(prompt);
  // A text begins where another ended.
  if (ids.empty() && tokenizer.end_of_document()) ids.push_back(*tokenizer.end_of_document());
  if (ids.empty()) throw UserError(ExitCode::kUsage, "the prompt is empty; give one with --prompt or on stdin");
  return ids;
}

int generate_command(World& world, const GenerateArguments& arguments) {
  const Sampler checked(arguments.sampling);
  const auto prompt = read_prompt(world, arguments);
  const auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  if (trained.tokenizer.empty()) throw InputError(trained.checkpoint, "has no tokenizer.json to write text with");
  Tokenizer tokenizer(trained.tokenizer);
  TextStream text(tokenizer);
  const auto show = [&](const std::string& piece) {
    if (world.rank() == 0) std::cout << piece << std::flush;
  };
  show(prompt);
  generate(*trained.model, world.all(), prompt_ids(tokenizer, prompt), arguments.sampling,
           tokenizer.end_of_document().value_or(-1), [&](int64_t id) {
             show(text.push(id));
             return true;
           });
  show(text.finish() + "\n");
  return 0;
}

}  // namespace

void add_generate_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<GenerateArguments>();
  auto& sampling = arguments->sampling;
  auto* command = app.add_subcommand("generate", "Text from a trained model, token by token");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  auto* prompt = command->add_option("--prompt", arguments->prompt, "text to go on from; default: stdin");
  command->add_option("--max-tokens", sampling.max_tokens, "tokens to make")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--temperature", sampling.temperature, "0: always the likeliest token")->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "only the k likeliest; 0: all")->capture_default_str();
  command->add_option("--top-p", sampling.top_p, "only the likeliest that together reach this probability")
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "of the draws")->capture_default_str();
  command->callback([&chosen, arguments, prompt] {
    arguments->has_prompt = prompt->count() > 0;
    chosen = [=](World& world) { return generate_command(world, *arguments); };
  });
}

}  // namespace granule
