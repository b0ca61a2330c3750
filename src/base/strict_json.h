#pragma once
// JSON from files we did not write: size and depth bounded, no key twice, and fields taken with their names,
// so that every error says which file and which field.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// Throws InputError for a file that is no JSON, has a key twice in one object, or nests deeper than
/// `max_depth`.
nlohmann::json read_strict_json(const std::string& path, uint64_t max_bytes, int max_depth = 32);
/// The same of a text that stands at `place`: a file, or a line of one.
nlohmann::json parse_strict_json(std::string_view text, const std::string& place, int max_depth = 32);

/// A value and where it stands: `JsonField(path, root)["model"]["vocab"]`. Points into the document.
class JsonField {
 public:
  JsonField(const std::string& path, const nlohmann::json& value, std::string name = "");

  const nlohmann::json& value() const { return *value_; }
  const std::string& name() const { return name_; }

  /// A key of an object; throws InputError if this is no object or lacks the key.
  JsonField operator[](const std::string& key) const;
  /// Nothing if the key is absent or null.
  std::optional<JsonField> find(const std::string& key) const;
  /// The elements of an array; throws InputError for anything else.
  std::vector<JsonField> items() const;

  std::string text() const;
  bool boolean() const;
  int64_t integer(int64_t min, int64_t max) const;
  /// Finite, in [min, max].
  double number(double min, double max) const;
  /// `fallback` if the key is absent or null.
  std::string text_or(const std::string& key, const std::string& fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;

  /// Throws InputError: "FILE: field NAME <problem>".
  [[noreturn]] void refuse(const std::string& problem) const;

 private:
  const std::string* path_;
  const nlohmann::json* value_;
  std::string name_;
};

}  // namespace granule
