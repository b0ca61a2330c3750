#include "train/dialogue.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "data/text_stream.h"

namespace granule {

Dialogue::Dialogue(const Transformer& model, Communicator& ranks, const Tokenizer& tokenizer,
                   const ChatTemplate& chat, const DialogueConfig& config)
    : model_(model),
      ranks_(ranks),
      tokenizer_(tokenizer),
      chat_(chat),
      config_(config),
      generator_(model, ranks, config.max_length) {
  forget();
  if (!turns_.empty()) static_cast<void>(chat_.render(turns_));
}

void Dialogue::forget() {
  turns_.clear();
  outgrown_ = false;
  if (!config_.system.empty()) turns_.push_back({Role::kSystem, config_.system});
}

std::vector<int64_t> Dialogue::fitting_prompt() {
  const size_t first = config_.system.empty() ? 0 : 1;
  const int64_t room = std::min(config_.sampling.max_tokens, config_.max_length / 2);
  for (;;) {
    auto prompt = chat_.prompt(turns_);
    check_ids(prompt, model_.config().vocab_size, tokenizer_);
    const auto size = static_cast<int64_t>(prompt.size());
    const bool has_room = size + room <= config_.max_length;
    const bool is_last = turns_.size() == first + 1;
    if (has_room || (is_last && size < config_.max_length)) return prompt;
    if (is_last) {
      throw std::invalid_argument(join_text("that has ", size,
                                            " tokens with all that stands around it, and the model reads ",
                                            config_.max_length, " at once, its answer included"));
    }
    // The oldest turn and the answer to it.
    const auto oldest = turns_.begin() + static_cast<int64_t>(first);
    turns_.erase(oldest, oldest + 2);
  }
}

std::string Dialogue::answer(const std::string& said, const std::function<bool(std::string_view)>& on_text) {
  const auto before = turns_;
  turns_.push_back({Role::kUser, said});
  std::vector<int64_t> prompt;
  try {
    prompt = fitting_prompt();
  } catch (const std::invalid_argument&) {
    turns_ = before;
    throw;
  }
  if (turns_.size() <= before.size() && !std::exchange(outgrown_, true)) {
    log_info(join_text(
        "the conversation has outgrown the ", config_.max_length,
        " tokens that the model reads at once, its answer included: the oldest turns are left out"));
  }
  TextStream stream(tokenizer_);
  std::string text;
  bool begun = false;
  const auto hear = [&](std::string piece) {
    if (piece.empty()) return true;
    if (!std::exchange(begun, true) && piece.starts_with(chat_.answer_lead())) {
      piece.erase(0, chat_.answer_lead().size());
    }
    text += piece;
    return on_text(piece);
  };
  generator_.generate(prompt, config_.sampling, config_.stop_ids,
                      [&](int64_t id) { return hear(stream.push(id)); });
  hear(stream.finish());
  text = ranks_.broadcast_bytes(text, 0);
  turns_.push_back({Role::kAssistant, text});
  return text;
}

}  // namespace granule
