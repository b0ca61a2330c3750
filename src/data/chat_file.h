#pragma once
// A JSONL file of conversations, line by line.

#include <functional>
#include <string>

#include "data/chat_config.h"
#include "data/conversation.h"

namespace granule {

/// A conversation and where it stands, as "FILE:LINE".
struct ChatLine {
  Conversation turns;
  std::string place;
};

/// Calls `use` for each conversation, in order; blank lines count only as lines. A line that is broken, or
/// that `use` throws an InputError for, ends all with that InputError or is skipped and logged, as
/// config.on_bad_line says. Returns how many were skipped.
int64_t read_chat_file(const std::string& path, const ChatConfig& config,
                       const std::function<void(const ChatLine&)>& use);

}  // namespace granule
