#pragma once
// Which tokens begin and end the texts of a model: what generation stops at and what an export says.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/chat_template.h"
#include "data/data_config.h"

namespace granule {

struct TextEnds {
  std::optional<int64_t> begin;
  std::vector<int64_t> end;  ///< any of them ends a text; the first is what the model was taught to write
};

/// As the generation_config.json of the model in `directory` says, else its config.json of Hugging Face;
/// nothing if neither does.
TextEnds recorded_text_ends(const std::string& directory);

/// The template of what has learned from conversations; nothing for what has learned from token files.
std::optional<ChatTemplate> learned_template(const DataConfig& data, Tokenizer& tokenizer);

/// What ends an answer by `chat`, if there is one, then what is recorded in `directory`; what neither says,
/// `tokenizer` does.
TextEnds text_ends_of(const std::string& directory, const Tokenizer& tokenizer,
                      const std::optional<ChatTemplate>& chat);

/// The generation_config.json of `directory` says these then; what else it says stays.
void write_text_ends(const std::string& directory, const TextEnds& ends);

}  // namespace granule
