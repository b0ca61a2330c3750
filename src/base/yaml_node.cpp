#include "base/yaml_node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "base/check.h"
#include "base/file.h"

namespace granule {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 32;

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string source) : source_(std::move(source)) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(node_at(mark, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse(mark, "aliases (*name)"); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (expects_key()) {
      open_key(mark, value);
      return;
    }
    auto node = node_at(mark, YamlNode::Kind::kScalar);
    node.scalar = value;
    node.quoted = tag == "!";
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    YamlNode node;
    bool has_key = false;  // a map whose key was read and whose value comes next
    std::string key;
    std::string key_place;
    std::set<std::string> keys;
  };

  std::string place(const YAML::Mark& mark) const {
    return join_text(source_, ":", mark.line + 1, ":", mark.column + 1);
  }
  YamlNode node_at(const YAML::Mark& mark, YamlNode::Kind kind) const {
    YamlNode node;
    node.kind = kind;
    node.place = place(mark);
    return node;
  }
  [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& what) const {
    throw ConfigError::located(join_text(place(mark), ": ", what, " are not accepted in a config"));
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) refuse(mark, "anchors (&name)");
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (" + tag + ")");
  }
  bool expects_key() const {
    return !levels_.empty() && levels_.back().node.kind == YamlNode::Kind::kMap && !levels_.back().has_key;
  }
  void open_key(const YAML::Mark& mark, const std::string& key) {
    auto& level = levels_.back();
    if (!level.keys.insert(key).second) {
      throw ConfigError::located(join_text(place(mark), ": duplicate key \"", key, "\""));
    }
    level.key = key;
    level.key_place = place(mark);
    level.has_key = true;
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (expects_key()) refuse(mark, "keys that are no plain words");
    if (levels_.size() == kMaxDepth) {
      throw ConfigError::located(join_text(place(mark), ": nested deeper than ", kMaxDepth, " levels"));
    }
    levels_.emplace_back();
    levels_.back().node = node_at(mark, kind);
  }
  void close() {
    auto node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }
  void add(YamlNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& level = levels_.back();
    if (level.node.kind == YamlNode::Kind::kSequence) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      throw ConfigError::located(join_text(node.place, ": empty keys are not accepted in a config"));
    } else {
      node.place = std::move(level.key_place);
      level.node.entries.push_back({std::move(level.key), std::move(node)});
      level.has_key = false;
    }
  }

  std::string source_;
  YamlNode root_;
  std::vector<Level> levels_;
};

}  // namespace

const YamlNode* YamlNode::find(const std::string& key) const {
  for (const auto& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

YamlNode* YamlNode::find(const std::string& key) {
  return const_cast<YamlNode*>(static_cast<const YamlNode*>(this)->find(key));
}

const char* YamlNode::kind_name() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a single value";
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a section";
  }
  return "";
}

YamlNode parse_yaml_file(const std::string& path) {
  return parse_yaml(read_text_file(path, kMaxBytes), path);
}

YamlNode parse_yaml(const std::string& text, const std::string& source) {
  if (text.size() > kMaxBytes) throw ConfigError::located(source + ": larger than 1 MiB, no config");
  // yaml-cpp takes the end of the input for a closing quote, but not the end of a document.
  std::istringstream stream(text + "\n...\n");
  const auto num_lines = std::count(text.begin(), text.end(), '\n') + 1;
  TreeBuilder builder(source);
  try {
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) {
      TreeBuilder rest(source);
      if (parser.HandleNextDocument(rest)) {
        throw ConfigError::located(source + ": holds more than one YAML document");
      }
    }
  } catch (const YAML::Exception& error) {
    if (error.mark.line >= num_lines)
      throw ConfigError::located(source + ": a quote, [ or { is never closed");
    throw ConfigError::located(
        join_text(source, ":", error.mark.line + 1, ":", error.mark.column + 1, ": ", error.msg));
  }
  return builder.take();
}

}  // namespace granule
