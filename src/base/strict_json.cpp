#include "base/strict_json.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/file.h"

namespace granule {

using nlohmann::json;

namespace {

// A value for an error message, short.
std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  auto text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() > 60) text.replace(57, std::string::npos, "...");
  return text;
}

}  // namespace

json read_strict_json(const std::string& path, uint64_t max_bytes, int max_depth) {
  return parse_strict_json(read_text_file(path, max_bytes), path, max_depth);
}

json parse_strict_json(std::string_view text, const std::string& place, int max_depth) {
  // The parser takes a zero byte for the end of its input.
  if (text.find('\0') != std::string_view::npos)
    throw InputError(place, "is no valid JSON: it contains a zero byte");
  std::vector<std::set<std::string>> open_objects;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > max_depth) throw InputError(place, "nests deeper than ", max_depth, " levels");
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second) {
      throw InputError(place, "has the key ", shown(parsed), " twice in one object");
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& error) {
    throw InputError(place, "is no valid JSON: ", error.what());
  }
}

JsonField::JsonField(const std::string& path, const json& value, std::string name)
    : path_(&path), value_(&value), name_(std::move(name)) {}

void JsonField::refuse(const std::string& problem) const {
  throw InputError(*path_, "field ", name_.empty() ? "(top)" : name_, " ", problem);
}

std::optional<JsonField> JsonField::find(const std::string& key) const {
  if (!value_->is_object()) refuse("is " + shown(*value_) + ", expected an object");
  const auto entry = value_->find(key);
  if (entry == value_->end() || entry->is_null()) return std::nullopt;
  return JsonField(*path_, *entry, name_.empty() ? key : name_ + "." + key);
}

JsonField JsonField::operator[](const std::string& key) const {
  auto field = find(key);
  if (!field) refuse("has no \"" + key + "\"");
  return *std::move(field);
}

std::vector<JsonField> JsonField::items() const {
  if (!value_->is_array()) refuse("is " + shown(*value_) + ", expected an array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (const auto& element : *value_)
    fields.emplace_back(*path_, element, join_text(name_, "[", fields.size(), "]"));
  return fields;
}

std::string JsonField::text() const {
  if (!value_->is_string()) refuse("is " + shown(*value_) + ", expected text");
  return value_->get<std::string>();
}

bool JsonField::boolean() const {
  if (!value_->is_boolean()) refuse("is " + shown(*value_) + ", expected true or false");
  return value_->get<bool>();
}

int64_t JsonField::integer(int64_t min, int64_t max) const {
  // Above the range of int64 the value is held as unsigned and would wrap.
  const bool fits =
      value_->is_number_integer() && !(value_->is_number_unsigned() && value_->get<uint64_t>() > INT64_MAX);
  if (!fits || value_->get<int64_t>() < min || value_->get<int64_t>() > max) {
    refuse(join_text("is ", shown(*value_), ", expected a whole number from ", min, " to ", max));
  }
  return value_->get<int64_t>();
}

double JsonField::number(double min, double max) const {
  if (!value_->is_number() || !(value_->get<double>() >= min && value_->get<double>() <= max)) {
    refuse(join_text("is ", shown(*value_), ", expected a number from ", min, " to ", max));
  }
  return value_->get<double>();
}

std::string JsonField::text_or(const std::string& key, const std::string& fallback) const {
  const auto field = find(key);
  return field ? field->text() : fallback;
}

bool JsonField::boolean_or(const std::string& key, bool fallback) const {
  const auto field = find(key);
  return field ? field->boolean() : fallback;
}

}  // namespace granule
