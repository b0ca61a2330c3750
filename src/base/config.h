#pragma once
// Config structs: each lies beside the module it configures and has one `visit(field)` with a line per field,
//   field("lr", lr, {.min = 0}, "peak learning rate");
// That line reads, prints, validates and documents the field. Types: bool, int64_t, double, std::string,
// vectors of these and other structs with `visit` (a section).

#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/yaml_node.h"

namespace granule {

/// What a value must satisfy beyond its type; for vectors, every element.
struct FieldRule {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  ///< empty: any text
  bool required = false;                  ///< has no default
};

namespace detail {

template <class T>
concept Section = requires(T& section) {
  section.visit([](auto&&...) {});
};

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

/// Reads one level of the tree: the entries of a map.
class SectionReader {
 public:
  /// `node` may be null: the section is left out and keeps its defaults.
  SectionReader(const YamlNode* node, std::string path, std::string source);

  template <class T>
  void operator()(const char* key, T& value, const FieldRule& rule, const char* /*doc*/) {
    const YamlNode* node = take(key, rule.required);
    if (node != nullptr)
      read(*node, path_of(key), value, rule);
    else if constexpr (Section<T>)
      read_section(nullptr, path_of(key), source_, value);
  }

  /// Throws ConfigError for the first key that no field asked for.
  void refuse_unknown_keys() const;

 private:
  template <class T>
  static void read(const YamlNode& node, const std::string& path, T& value, const FieldRule& rule) {
    if constexpr (IsVector<T>::value) {
      value.clear();
      for (const auto& item : list_items(node, path)) {
        const auto item_path = join_text(path, "[", value.size(), "]");
        // std::vector<bool> has no element to refer to; no config needs one.
        read_scalar(item, item_path, value.emplace_back(), rule);
      }
    } else if constexpr (Section<T>) {
      read_section(&node, path, node.place, value);
    } else {
      read_scalar(node, path, value, rule);
    }
  }
  template <class T>
  static void read_section(const YamlNode* node, const std::string& path, const std::string& source,
                           T& value) {
    SectionReader reader(node, path, source);
    value.visit(reader);
    reader.refuse_unknown_keys();
  }

  static const std::vector<YamlNode>& list_items(const YamlNode& node, const std::string& path);
  static void read_scalar(const YamlNode&, const std::string& path, bool& value, const FieldRule&);
  static void read_scalar(const YamlNode&, const std::string& path, int64_t& value, const FieldRule&);
  static void read_scalar(const YamlNode&, const std::string& path, double& value, const FieldRule&);
  static void read_scalar(const YamlNode&, const std::string& path, std::string& value, const FieldRule&);

  const YamlNode* take(const char* key, bool required);
  std::string path_of(const std::string& key) const;

  const YamlNode* node_;
  std::string path_;    // dotted, "" at the top
  std::string source_;  // where the section stands, or the file
  std::vector<std::string> known_;
};

/// Writes a struct as YAML, all fields, so that reading it back gives the same values.
class SectionPrinter {
 public:
  explicit SectionPrinter(std::string& out, int indent = 0) : out_(out), indent_(indent) {}

  template <class T>
  void operator()(const char* key, T& value, const FieldRule&, const char* /*doc*/) {
    out_ += std::string(static_cast<size_t>(indent_), ' ') + key + ":";
    if constexpr (Section<T>) {
      out_ += '\n';
      SectionPrinter inner(out_, indent_ + 2);
      value.visit(inner);
    } else if constexpr (IsVector<T>::value) {
      append(list_to_yaml(value));
    } else {
      append(to_yaml(value));
    }
  }

  static std::string to_yaml(bool value);
  static std::string to_yaml(int64_t value);
  static std::string to_yaml(double value);
  static std::string to_yaml(const std::string& value);
  template <class T>
  static std::string list_to_yaml(const std::vector<T>& list) {
    std::string text = "[";
    for (size_t i = 0; i < list.size(); ++i) text += (i > 0 ? ", " : "") + to_yaml(list[i]);
    return text + "]";
  }

 private:
  // Step by step: GCC 12 takes the sum of a short text and a std::string for a copy of 2^63 bytes.
  void append(const std::string& value) {
    out_ += ' ';
    out_ += value;
    out_ += '\n';
  }

  std::string& out_;
  int indent_;
};

/// Writes the table rows of docs/configuration.md.
class SectionDocumenter {
 public:
  SectionDocumenter(std::string& out, std::string path) : out_(out), path_(std::move(path)) {}

  template <class T>
  void operator()(const char* key, T& value, const FieldRule& rule, const char* doc) {
    const auto path = path_.empty() ? std::string(key) : path_ + "." + key;
    if constexpr (Section<T>) {
      open_section(path, doc);
      SectionDocumenter inner(out_, path);
      value.visit(inner);
    } else if constexpr (IsVector<T>::value) {
      row(path, "list", rule.required ? "required" : SectionPrinter::list_to_yaml(value), rule, doc);
    } else {
      row(path, type_name(value), rule.required ? "required" : SectionPrinter::to_yaml(value), rule, doc);
    }
  }

 private:
  static const char* type_name(bool) { return "bool"; }
  static const char* type_name(int64_t) { return "int"; }
  static const char* type_name(double) { return "float"; }
  static const char* type_name(const std::string&) { return "text"; }
  void open_section(const std::string& path, const char* doc);
  void row(const std::string& path, const std::string& type, const std::string& initial,
           const FieldRule& rule, const char* doc);

  std::string& out_;
  std::string path_;
};

}  // namespace detail

/// A config file with the command line's overrides, not yet read into a struct.
class ConfigDocument {
 public:
  /// Throws InputError if `path` cannot be read, ConfigError for broken YAML or a malformed override.
  /// An override is `section.key=value`, its value parsed as YAML.
  ConfigDocument(const std::string& path, const std::vector<std::string>& overrides);
  /// From text; `source` stands for the file name.
  static ConfigDocument from_text(const std::string& text, const std::string& source,
                                  const std::vector<std::string>& overrides = {});

  /// Fills `config`, then runs `validate` on it; a ConfigError of either names the place in the file.
  template <class Config>
  void read_into(Config& config,
                 const std::type_identity_t<std::function<void(const Config&)>>& validate = {}) const {
    detail::SectionReader reader(&root_, "", source_);
    config.visit(reader);
    reader.refuse_unknown_keys();
    if (!validate) return;
    try {
      validate(config);
    } catch (const ConfigError& error) {
      if (error.key().empty()) throw;
      throw ConfigError::located(place_of(error.key()) + ": " + error.what());
    }
  }

 private:
  ConfigDocument() = default;
  void apply_override(const std::string& assignment);
  /// The deepest node on the way to `key` that the file has.
  std::string place_of(const std::string& key) const;

  YamlNode root_;
  std::string source_;
};

/// The config as YAML, every default spelled out.
template <class Config>
std::string print_config(Config config) {
  std::string text;
  detail::SectionPrinter printer(text);
  config.visit(printer);
  return text;
}

/// The reference of all keys as Markdown tables.
template <class Config>
std::string document_config(Config config = {}) {
  std::string text;
  detail::SectionDocumenter documenter(text, "");
  config.visit(documenter);
  return text;
}

}  // namespace granule
