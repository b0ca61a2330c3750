#pragma once
// A conversation with a model: what was said, and the next answer.

#include <functional>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "data/chat_template.h"
#include "data/tokenizer.h"
#include "train/text_generator.h"

namespace granule {

struct DialogueConfig {
  SamplingConfig sampling;
  std::string system;             ///< the system turn that begins it; empty: none
  int64_t max_length = 0;         ///< tokens the model reads at once
  std::vector<int64_t> stop_ids;  ///< any of them ends an answer
};

class Dialogue {
 public:
  /// All must outlive the dialogue. Throws std::invalid_argument if the template has no place for a system
  /// turn that is asked for.
  Dialogue(const Transformer& model, Communicator& ranks, const Tokenizer& tokenizer,
           const ChatTemplate& chat, const DialogueConfig& config);

  /// The answer to what the user says; on rank 0 `on_text` hears it as it comes and ends it by answering
  /// false. Only the newest turns are read that leave room for a whole answer or, if that may be longer, for
  /// half of what the model reads at once; the user's last one always. The log says so when the first are
  /// left out. Throws std::invalid_argument if the last one alone is too long; then nothing was said.
  /// ConfigError for ids that the model lacks. All ranks say the same and get the same. Collective.
  std::string answer(const std::string& said, const std::function<bool(std::string_view)>& on_text);

  /// All that was said but for the system turn.
  void forget();
  const Conversation& turns() const { return turns_; }

 private:
  std::vector<int64_t> fitting_prompt();

  const Transformer& model_;
  Communicator& ranks_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  DialogueConfig config_;
  TextGenerator generator_;
  Conversation turns_;
  bool outgrown_ = false;  // and the log has said so
};

}  // namespace granule
