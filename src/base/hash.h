#pragma once
// XXH3, 64 bits: finds damaged bytes at memory speed. No protection against intent.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace granule {

/// Of bytes that come in pieces; the cuts do not matter.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;

  void update(const void* bytes, size_t count);
  uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

uint64_t hash_bytes(const void* bytes, size_t count);
inline uint64_t hash_bytes(std::string_view text) {
  return hash_bytes(text.data(), text.size());
}

/// 16 lower-case hexadecimal digits, the form of `xxhsum -H3`.
std::string hash_text(uint64_t hash);

}  // namespace granule
