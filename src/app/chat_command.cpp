#include <unistd.h>

#include <iostream>

#include "app/commands.h"
#include "app/sampling_options.h"
#include "base/log.h"
#include "train/chat_loop.h"
#include "train/text_ends.h"
#include "train/trained_model.h"

namespace granule {

namespace {

struct ChatArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::string chat_template;
  DialogueConfig dialogue;
};

int chat_command(World& world, ChatArguments arguments) {
  check_sampling(arguments.dialogue.sampling);
  auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  auto chat = trained.config.data.chat;
  if (!arguments.chat_template.empty()) chat = {.chat_template = arguments.chat_template, .pattern = {}};
  if (arguments.dialogue.max_length == 0) arguments.dialogue.max_length = trained.config.train.seq_length;
  Tokenizer tokenizer(trained.checked_tokenizer());
  const std::optional<ChatTemplate> chat_template(std::in_place, chat, tokenizer);
  log_info("chat template: " + chat.chat_template);
  arguments.dialogue.stop_ids = text_ends_of(trained.checkpoint, tokenizer, chat_template).end;
  Dialogue dialogue(*trained.model, world.all(), tokenizer, *chat_template, arguments.dialogue);
  const bool typed = isatty(STDIN_FILENO) != 0;
  ChatTerminal terminal{std::cin, std::cout, typed && isatty(STDOUT_FILENO) != 0, typed ? STDIN_FILENO : -1};
  Interrupt interrupt;
  chat_loop(dialogue, world.all(), terminal, interrupt);
  return 0;
}

}  // namespace

void add_chat_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<ChatArguments>();
  auto* command = app.add_subcommand("chat", "Talk with a trained model, a line at a time");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command
      ->add_option("--template", arguments->chat_template,
                   "one of those built in; default: that of the run's data.chat")
      ->check(CLI::IsMember(built_in_template_names()));
  command->add_option("--system", arguments->dialogue.system, "a system turn that begins the conversation");
  command
      ->add_option("--max-length", arguments->dialogue.max_length,
                   "tokens of the conversation that the model reads; default: the run's seq_length")
      ->check(CLI::Range(int64_t{1}, kMaxTextTokens));
  add_sampling_options(*command, arguments->dialogue.sampling);
  command->callback(
      [&chosen, arguments] { chosen = [=](World& world) { return chat_command(world, *arguments); }; });
}

}  // namespace granule
