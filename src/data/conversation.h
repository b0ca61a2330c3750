#pragma once
// What was said by whom.

#include <string>
#include <vector>

namespace granule {

enum class Role { kSystem, kUser, kAssistant };

/// "system", "user" or "assistant".
const char* role_name(Role role);

struct Turn {
  Role role;
  std::string content;
  std::string input = "";  ///< of a user's turn: what the instruction in `content` is about; often empty
};

using Conversation = std::vector<Turn>;

}  // namespace granule
