#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/option_checks.h"
#include "app/sampling_options.h"
#include "data/task_examples.h"
#include "data/text_stream.h"
#include "data/tokenizer.h"
#include "train/batch_generator.h"
#include "train/text_generator.h"
#include "train/trained_model.h"

namespace granule {

namespace {

struct GenerateArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::string prompt;
  bool has_prompt = false;
  std::string prompts;
  int64_t batch_size = 8;
  SamplingConfig sampling;
};

// Rank 0 reads what was given or, without --prompt, all of stdin; the others hear it from rank 0.
std::string read_prompt(World& world, const GenerateArguments& arguments) {
  std::string prompt = arguments.prompt;
  if (!arguments.has_prompt && world.rank() == 0) {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  return world.all().broadcast_bytes(prompt, 0);
}

std::vector<int64_t> prompt_ids(const TrainedModel& trained, Tokenizer& tokenizer,
                                const std::string& prompt) {
  auto ids = tokenizer.encode_prompt(prompt);
  if (ids.empty())
    throw UserError(ExitCode::kUsage, "the prompt is empty; give one with --prompt or on stdin");
  check_ids(ids, trained.config.model.vocab_size, tokenizer);
  return ids;
}

void generate_one(World& world, const TrainedModel& trained, Tokenizer& tokenizer,
                  const GenerateArguments& arguments, const std::string& prompt) {
  TextStream text(tokenizer);
  const auto show = [&](const std::string& piece) {
    if (world.rank() == 0) std::cout << piece << std::flush;
  };
  show(prompt);
  const auto ids = prompt_ids(trained, tokenizer, prompt);
  TextGenerator generator(*trained.model, world.all(),
                          static_cast<int64_t>(ids.size()) + arguments.sampling.max_tokens);
  generator.generate(ids, arguments.sampling, trained.stop_ids(tokenizer), [&](int64_t id) {
    show(text.push(id));
    return true;
  });
  show(text.finish() + "\n");
}

void generate_batch(World& world, const TrainedModel& trained, Tokenizer& tokenizer,
                    const GenerateArguments& arguments) {
  const auto prompts = read_prompts(arguments.prompts);
  std::vector<std::vector<int64_t>> ids;
  for (const auto& prompt : prompts) ids.push_back(prompt_ids(trained, tokenizer, prompt));
  const auto answers = generate_all(*trained.model, trained.mesh->replica(), ids,
                                    {.sampling = arguments.sampling,
                                     .batch_size = arguments.batch_size,
                                     .stop_ids = trained.stop_ids(tokenizer),
                                     .goes_on = {}});
  if (world.rank() != 0) return;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const nlohmann::ordered_json line{{"prompt", prompts[i]}, {"text", readable_text(tokenizer, answers[i])}};
    std::cout << line.dump() << '\n';
  }
}

int generate_command(World& world, const GenerateArguments& arguments) {
  check_sampling(arguments.sampling);
  const bool many = !arguments.prompts.empty();
  const auto prompt = many ? "" : read_prompt(world, arguments);
  const auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  Tokenizer tokenizer(trained.checked_tokenizer());
  if (many) {
    generate_batch(world, trained, tokenizer, arguments);
  } else {
    generate_one(world, trained, tokenizer, arguments, prompt);
  }
  return 0;
}

}  // namespace

void add_generate_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<GenerateArguments>();
  auto* command =
      app.add_subcommand("generate", "Text from a trained model: one streamed, or many in batches");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  auto* prompt = command->add_option("--prompt", arguments->prompt, "text to go on from; default: stdin");
  command
      ->add_option("--prompts", arguments->prompts,
                   "many: a .jsonl file of {\"prompt\": ...}, any other file has one on each line; a line of "
                   "JSON for each")
      ->excludes(prompt);
  command->add_option("--batch-size", arguments->batch_size, "of --prompts, texts a rank writes at once")
      ->check(at_least(1))
      ->capture_default_str();
  add_sampling_options(*command, arguments->sampling);
  command->callback([&chosen, arguments, prompt] {
    arguments->has_prompt = prompt->count() > 0;
    chosen = [=](World& world) { return generate_command(world, *arguments); };
  });
}

}  // namespace granule
