#include "data/conversation.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(Conversation, NamesRoles) {
  EXPECT_STREQ(role_name(Role::kSystem), "system");
  EXPECT_STREQ(role_name(Role::kUser), "user");
  EXPECT_STREQ(role_name(Role::kAssistant), "assistant");
}

}  // namespace
}  // namespace granule
