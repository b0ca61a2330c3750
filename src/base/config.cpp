#include "base/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/text.h"

namespace granule {

namespace detail {

namespace {

[[noreturn]] void refuse(const YamlNode& node, const std::string& path, const std::string& what) {
  throw ConfigError::located(join_text(node.place, ": ", path, what));
}

const std::string& scalar_of(const YamlNode& node, const std::string& path, const char* expected) {
  if (node.kind != YamlNode::Kind::kScalar) {
    refuse(node, path, join_text(" is ", node.kind_name(), ", expected ", expected));
  }
  return node.scalar;
}

[[noreturn]] void refuse_type(const YamlNode& node, const std::string& path, const char* expected) {
  const char* quoted = node.quoted ? " in quotes" : "";
  refuse(node, path, join_text(" = \"", node.scalar, "\"", quoted, " is not ", expected));
}

/// Nothing if `text` is no number, or too large for one.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  // YAML 1.1 reads 010 as eight, 1.2 as ten: nobody gets to guess.
  const auto digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') return std::nullopt;
  Number value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::string bound_text(double bound) {
  const bool whole = bound == std::floor(bound) && std::abs(bound) < 1e15;
  return whole ? std::to_string(static_cast<int64_t>(bound)) : SectionPrinter::to_yaml(bound);
}

std::string range_text(const FieldRule& rule) {
  const bool has_min = std::isfinite(rule.min), has_max = std::isfinite(rule.max);
  if (has_min && has_max) return join_text("between ", bound_text(rule.min), " and ", bound_text(rule.max));
  if (has_min) return join_text("at least ", bound_text(rule.min));
  return join_text("at most ", bound_text(rule.max));
}

void check_range(const YamlNode& node, const std::string& path, double value, const FieldRule& rule) {
  if (value < rule.min || value > rule.max) {
    refuse(node, path, join_text(" = ", node.scalar, " must be ", range_text(rule)));
  }
}

}  // namespace

SectionReader::SectionReader(const YamlNode* node, std::string path, std::string source)
    : node_(node), path_(std::move(path)), source_(std::move(source)) {
  if (node_ == nullptr || node_->kind == YamlNode::Kind::kNull) {
    node_ = nullptr;
  } else if (node_->kind != YamlNode::Kind::kMap) {
    refuse(*node_, path_.empty() ? "the config" : path_,
           join_text(" is ", node_->kind_name(), ", expected a section"));
  }
}

std::string SectionReader::path_of(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

const YamlNode* SectionReader::take(const char* key, bool required) {
  known_.emplace_back(key);
  const YamlNode* node = node_ == nullptr ? nullptr : node_->find(key);
  if (node == nullptr && required) {
    throw ConfigError::located(join_text(source_, ": ", path_of(key), " is missing and has no default"));
  }
  return node;
}

void SectionReader::refuse_unknown_keys() const {
  if (node_ == nullptr) return;
  for (const auto& [key, node] : node_->entries) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      refuse(node, path_of(key), " is no known key" + did_you_mean(key, known_));
    }
  }
}

const std::vector<YamlNode>& SectionReader::list_items(const YamlNode& node, const std::string& path) {
  if (node.kind != YamlNode::Kind::kSequence) {
    refuse(node, path, join_text(" is ", node.kind_name(), ", expected a list [a, b, ...]"));
  }
  return node.items;
}

void SectionReader::read_scalar(const YamlNode& node, const std::string& path, bool& value,
                                const FieldRule&) {
  const auto& text = scalar_of(node, path, "true or false");
  if (node.quoted || (text != "true" && text != "false")) refuse_type(node, path, "true or false");
  value = text == "true";
}

void SectionReader::read_scalar(const YamlNode& node, const std::string& path, int64_t& value,
                                const FieldRule& rule) {
  const char* expected = "a whole number";
  const auto& text = scalar_of(node, path, expected);
  auto number = parse_number<int64_t>(text);
  if (!number) {
    // 1e6 is how people write steps and tokens; it counts as whole where a double holds it exactly.
    const auto real = parse_number<double>(text);
    if (real && *real == std::floor(*real) && std::abs(*real) <= 0x1p53) number = static_cast<int64_t>(*real);
  }
  if (node.quoted || !number) refuse_type(node, path, expected);
  value = *number;
  check_range(node, path, static_cast<double>(value), rule);
}

void SectionReader::read_scalar(const YamlNode& node, const std::string& path, double& value,
                                const FieldRule& rule) {
  const char* expected = "a finite number";
  const auto number = parse_number<double>(scalar_of(node, path, expected));
  if (node.quoted || !number || !std::isfinite(*number)) refuse_type(node, path, expected);
  value = *number;
  check_range(node, path, value, rule);
}

void SectionReader::read_scalar(const YamlNode& node, const std::string& path, std::string& value,
                                const FieldRule& rule) {
  value = scalar_of(node, path, "text");
  if (!rule.choices.empty() &&
      std::find(rule.choices.begin(), rule.choices.end(), value) == rule.choices.end()) {
    refuse(node, path,
           join_text(" = \"", value, "\" must be one of ", join(rule.choices, ", "),
                     did_you_mean(value, rule.choices)));
  }
}

std::string SectionPrinter::to_yaml(bool value) {
  return value ? "true" : "false";
}
std::string SectionPrinter::to_yaml(int64_t value) {
  return std::to_string(value);
}

std::string SectionPrinter::to_yaml(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end);
}

std::string SectionPrinter::to_yaml(const std::string& value) {
  static const char kHex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

void SectionDocumenter::open_section(const std::string& path, const char* doc) {
  out_ += join_text("\n## `", path, "`\n", doc, "\n\n| key | type | default | allowed | meaning |\n",
                    "| --- | --- | --- | --- | --- |\n");
}

void SectionDocumenter::row(const std::string& path, const std::string& type, const std::string& initial,
                            const FieldRule& rule, const char* doc) {
  const bool ranged = std::isfinite(rule.min) || std::isfinite(rule.max);
  const auto allowed = !rule.choices.empty() ? join(rule.choices, ", ") : ranged ? range_text(rule) : "";
  if (path.find('.') == std::string::npos && out_.empty()) {
    out_ += "| key | type | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n";
  }
  out_ += join_text("| `", path, "` | ", type, " | `", initial, "` | ", allowed, " | ", doc, " |\n");
}

}  // namespace detail

ConfigDocument::ConfigDocument(const std::string& path, const std::vector<std::string>& overrides)
    : root_(parse_yaml_file(path)), source_(path) {
  for (const auto& assignment : overrides) apply_override(assignment);
}

ConfigDocument ConfigDocument::from_text(const std::string& text, const std::string& source,
                                         const std::vector<std::string>& overrides) {
  ConfigDocument document;
  document.root_ = parse_yaml(text, source);
  document.source_ = source;
  for (const auto& assignment : overrides) document.apply_override(assignment);
  return document;
}

void ConfigDocument::apply_override(const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError::located("override \"" + assignment + "\" is not of the form section.key=value");
  }
  const auto key = assignment.substr(0, equals);
  YamlNode* node = &root_;
  for (size_t begin = 0; begin <= key.size();) {
    const auto end = std::min(key.find('.', begin), key.size());
    const auto part = key.substr(begin, end - begin);
    if (node->kind == YamlNode::Kind::kNull) node->kind = YamlNode::Kind::kMap;
    if (part.empty() || node->kind != YamlNode::Kind::kMap) {
      throw ConfigError::located("override \"" + assignment + "\": " + key + " names no key of a section");
    }
    YamlNode* child = node->find(part);
    if (child == nullptr) child = &node->entries.emplace_back(YamlEntry{part, {}}).value;
    if (child->place.empty()) child->place = "override " + key;
    node = child;
    begin = end + 1;
  }
  const auto text = assignment.substr(equals + 1);
  const auto refuse = [&](const std::string& why) {
    throw ConfigError::located("override \"" + assignment + "\": " + why);
  };
  if (text.starts_with('[') && !text.ends_with(']')) refuse("the list is not closed; a shell wants '" + key + "=[a, b]'");
  auto value = parse_yaml(text, "override " + key);
  if (value.kind == YamlNode::Kind::kMap && !node->entries.empty()) {
    refuse("would take away all else that the file says of " + key + "; name its keys one by one, as " + key + "." +
           node->entries.front().key + "=...");
  }
  if (value.kind == YamlNode::Kind::kScalar && !value.quoted && text.find(" #") != std::string::npos) {
    refuse("what follows \" #\" would be a comment; write '" + key + "=\"...\"'");
  }
  value.place = "override " + key;
  *node = std::move(value);
}

std::string ConfigDocument::place_of(const std::string& key) const {
  const YamlNode* node = &root_;
  std::string place = source_;
  for (size_t begin = 0; begin < key.size();) {
    const auto end = std::min(key.find('.', begin), key.size());
    node = node->find(key.substr(begin, end - begin));
    if (node == nullptr) break;
    place = node->place;
    begin = end + 1;
  }
  return place;
}

}  // namespace granule
