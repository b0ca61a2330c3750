#include "base/hash.h"

#define XXH_STATIC_LINKING_ONLY  // the state as a member instead of behind another pointer
#include <xxhash.h>

#include "base/check.h"

namespace granule {

struct Hasher::State {
  XXH3_state_t xxh3;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(XXH3_64bits_reset(&state_->xxh3) == XXH_OK);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;

void Hasher::update(const void* bytes, size_t count) {
  CHECK(XXH3_64bits_update(&state_->xxh3, bytes, count) == XXH_OK);
}

uint64_t Hasher::digest() const {
  return XXH3_64bits_digest(&state_->xxh3);
}

uint64_t hash_bytes(const void* bytes, size_t count) {
  return XXH3_64bits(bytes, count);
}

std::string hash_text(uint64_t hash) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = kDigits[hash >> (60 - 4 * i) & 15];
  return text;
}

}  // namespace granule
