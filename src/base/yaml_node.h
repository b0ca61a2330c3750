#pragma once
// A YAML file as a plain tree that knows where each node stands. The only place that sees yaml-cpp.
// Stricter than YAML: no anchors, aliases or tags, no duplicate keys, one document, at most 1 MiB and 32
// levels.

#include <string>
#include <vector>

namespace granule {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  std::string scalar;              ///< text of a scalar
  bool quoted = false;             ///< a quoted scalar is text whatever it looks like
  std::string place;               ///< "file:line:column" of its key, or of itself where it has none
  std::vector<YamlNode> items;     ///< of a sequence
  std::vector<YamlEntry> entries;  ///< of a map, in file order

  const YamlNode* find(const std::string& key) const;
  YamlNode* find(const std::string& key);
  /// "a list", "a section" ...: for messages.
  const char* kind_name() const;
};

struct YamlEntry {
  std::string key;
  YamlNode value;
};

/// Throws InputError if the file cannot be read, ConfigError with file:line:column for what is refused.
YamlNode parse_yaml_file(const std::string& path);

/// `source` stands for the file name in places.
YamlNode parse_yaml(const std::string& text, const std::string& source);

}  // namespace granule
