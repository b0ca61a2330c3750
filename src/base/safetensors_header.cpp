#include "base/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_set>

#include "base/check.h"

namespace granule {

namespace {

constexpr std::string_view kMetadata = "__metadata__";

struct DtypeBits {
  std::string_view name;
  uint64_t bits;
};

// In the order in which the reference lays tensors out.
constexpr std::array<DtypeBits, 22> kDtypes = {{
    {"U64", 64},        {"I64", 64},    {"F64", 64},    {"C64", 64},    {"F32", 32}, {"U32", 32},
    {"I32", 32},        {"BF16", 16},   {"F16", 16},    {"U16", 16},    {"I16", 16}, {"F8_E5M2FNUZ", 8},
    {"F8_E4M3FNUZ", 8}, {"F8_E8M0", 8}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"I8", 8},   {"U8", 8},
    {"F6_E3M2", 6},     {"F6_E2M3", 6}, {"F4", 4},      {"BOOL", 8},
}};

size_t dtype_rank(const std::string& dtype) {
  const auto is_it = [&](const DtypeBits& known) { return known.name == dtype; };
  return static_cast<size_t>(std::find_if(kDtypes.begin(), kDtypes.end(), is_it) - kDtypes.begin());
}

// The bytes that dtype and shape need, or why there is no such number.
struct ByteCount {
  uint64_t bytes = 0;
  std::string problem;
};
ByteCount count_bytes(const SafetensorsEntry& entry) {
  uint64_t elements = 1, bits = 0;
  for (const auto size : entry.shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) return {0, "its size overflows"};
  }
  if (__builtin_mul_overflow(elements, safetensors_dtype_bits(entry.dtype), &bits))
    return {0, "its size overflows"};
  if (bits % 8 != 0) return {0, join_text("its ", bits, " bits are no whole number of bytes")};
  return {bits / 8, ""};
}

// Takes the events of the JSON parser and builds entries; whatever it does not expect ends the parse. Nothing
// is kept of what it skips, so memory stays in proportion to the tensors named.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string problem;

  bool null() override {
    // What the reference takes for a map that was left out.
    if (place_ == Place::kMetadataValue) return leave_to(Place::kTop);
    return scalar("null");
  }
  bool boolean(bool) override { return scalar("a bool"); }
  bool number_integer(number_integer_t) override { return scalar("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return scalar("a fraction"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (entry_.shape.size() == SafetensorsHeader::kMaxDims) {
        return refuse(entry_.name, " has more than ", SafetensorsHeader::kMaxDims, " dimensions");
      }
      entry_.shape.push_back(value);
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (offsets_.size() == 2) return refuse(entry_.name, " has more than two data_offsets");
      offsets_.push_back(value);
      return true;
    }
    return scalar("a number");
  }
  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header.metadata.emplace_back(key_, value);
      return true;
    }
    if (place_ == Place::kDtype) {
      if (safetensors_dtype_bits(value) == 0)
        return refuse(entry_.name, " has unknown dtype \"", value, "\"");
      entry_.dtype = value;
      return leave_to(Place::kTensor);
    }
    return scalar("a text");
  }
  bool binary(binary_t&) override { return scalar("binary"); }

  bool start_object(size_t) override {
    switch (place_) {
      case Place::kStart:
        return leave_to(Place::kTop);
      case Place::kMetadataValue:
        return leave_to(Place::kMetadata);
      case Place::kTensorValue:
        return leave_to(Place::kTensor);
      default:
        return start_skipped("an object");
    }
  }
  bool key(string_t& key) override {
    if (place_ == Place::kTop) return start_top_entry(key);
    if (place_ == Place::kMetadata) {
      key_ = key;
      return metadata_keys_.insert(key).second || refuse(kMetadata, " has the key \"", key, "\" twice");
    }
    if (place_ == Place::kTensor) return start_field(key);
    return true;
  }
  bool end_object() override {
    if (place_ == Place::kSkipped) return end_skipped();
    if (place_ == Place::kTensor) return finish_entry();
    return leave_to(place_ == Place::kMetadata ? Place::kTop : Place::kEnd);
  }
  bool start_array(size_t) override {
    if (place_ == Place::kShapeValue) return leave_to(Place::kShape);
    if (place_ == Place::kOffsetsValue) return leave_to(Place::kOffsets);
    return start_skipped("a list");
  }
  bool end_array() override {
    if (place_ == Place::kSkipped) return end_skipped();
    return leave_to(Place::kTensor);
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("no valid JSON at byte ", position);
  }

 private:
  enum class Place {
    kStart,
    kTop,            // among names
    kMetadataValue,  // before the map of texts
    kMetadata,
    kTensorValue,  // before the description of a tensor
    kTensor,       // among its fields
    kDtype,
    kShapeValue,
    kShape,
    kOffsetsValue,
    kOffsets,
    kUnknownValue,  // before the value of a field that means nothing to us
    kSkipped,       // inside such a value
    kEnd,
  };

  template <class... Parts>
  bool refuse(const Parts&... parts) {
    if (problem.empty()) problem = join_text(parts...);
    return false;
  }
  bool leave_to(Place place) {
    place_ = place;
    return true;
  }
  // A value where none of its kind belongs, unless nobody cares.
  bool scalar(const char* kind) {
    if (place_ == Place::kSkipped) return true;
    if (place_ == Place::kUnknownValue) return leave_to(Place::kTensor);
    return refuse(where(), " cannot be ", kind);
  }
  bool start_skipped(const char* kind) {
    if (place_ != Place::kUnknownValue && place_ != Place::kSkipped)
      return refuse(where(), " cannot be ", kind);
    place_ = Place::kSkipped;
    return ++depth_ < SafetensorsHeader::kMaxDepth || refuse(entry_.name, " has a field nested too deeply");
  }
  bool end_skipped() {
    if (--depth_ == 0) place_ = Place::kTensor;
    return true;
  }
  std::string where() const {
    switch (place_) {
      case Place::kStart:
        return "the header";
      case Place::kMetadataValue:
        return std::string(kMetadata);
      case Place::kMetadata:
        return join_text(kMetadata, ".", key_);
      case Place::kTensorValue:
        return entry_.name;
      default:
        return join_text(entry_.name, ".", key_);
    }
  }

  bool start_top_entry(const std::string& name) {
    if (name.size() > SafetensorsHeader::kMaxNameBytes) return refuse("a name of ", name.size(), " bytes");
    if (!names_.insert(name).second) return refuse("the name \"", name, "\" stands there twice");
    if (name == kMetadata) return leave_to(Place::kMetadataValue);
    if (header.entries.size() == SafetensorsHeader::kMaxTensors) {
      return refuse("more than ", SafetensorsHeader::kMaxTensors, " tensors");
    }
    entry_ = SafetensorsEntry();
    entry_.name = name;
    offsets_.clear();
    fields_.clear();
    return leave_to(Place::kTensorValue);
  }
  bool start_field(const std::string& key) {
    key_ = key;
    if (std::find(fields_.begin(), fields_.end(), key) != fields_.end()) {
      return refuse(entry_.name, " has the field \"", key, "\" twice");
    }
    if (fields_.size() == SafetensorsHeader::kMaxDepth) return refuse(entry_.name, " has too many fields");
    fields_.push_back(key);
    if (key == "dtype") return leave_to(Place::kDtype);
    if (key == "shape") return leave_to(Place::kShapeValue);
    if (key == "data_offsets") return leave_to(Place::kOffsetsValue);
    return leave_to(Place::kUnknownValue);
  }
  bool finish_entry() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (std::find(fields_.begin(), fields_.end(), field) == fields_.end()) {
        return refuse(entry_.name, " has no ", field);
      }
    }
    if (offsets_.size() != 2) return refuse(entry_.name, " needs two data_offsets");
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    header.entries.push_back(std::move(entry_));
    return leave_to(Place::kTop);
  }

  Place place_ = Place::kStart;
  std::string key_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> offsets_;
  std::vector<std::string> fields_;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> metadata_keys_;
  uint64_t depth_ = 0;  // of what is skipped
};

// Sorted by place, each tensor must begin where the one before ends, and the last must end with the file.
void check_places(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes, const std::string& path) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const auto& entry : entries) {
    if (entry.begin != end || entry.end < entry.begin) {
      throw InputError(path, entry.name, " has data_offsets [", entry.begin, ", ", entry.end,
                       "], expected to begin at ", end);
    }
    const auto needed = count_bytes(entry);
    if (!needed.problem.empty()) throw InputError(path, entry.name, ": ", needed.problem);
    if (entry.num_bytes() != needed.bytes) {
      throw InputError(path, entry.name, " has ", entry.num_bytes(), " bytes, its shape and dtype need ",
                       needed.bytes);
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    throw InputError(path, "has ", data_bytes, " bytes of tensors, its header describes ", end);
  }
}

}  // namespace

uint64_t safetensors_dtype_bits(const std::string& dtype) {
  const auto rank = dtype_rank(dtype);
  return rank < kDtypes.size() ? kDtypes[rank].bits : 0;
}

SafetensorsHeader parse_safetensors_header(const std::string& json, uint64_t data_bytes,
                                           const std::string& path) {
  if (json.empty() || json.front() != '{') throw InputError(path, "its header does not begin with {");
  // The parser takes a zero byte for the end of its input.
  if (json.find('\0') != std::string::npos) throw InputError(path, "its header contains a zero byte");
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(json, &handler)) throw InputError(path, "header: ", handler.problem);
  check_places(handler.header.entries, data_bytes, path);
  return std::move(handler.header);
}

SafetensorsLayout::SafetensorsLayout(std::vector<SafetensorsEntry> entries, SafetensorsMetadata metadata)
    : header_{std::move(metadata), std::move(entries)} {
  std::sort(header_.entries.begin(), header_.entries.end(), [](const auto& a, const auto& b) {
    return std::pair(dtype_rank(a.dtype), std::string_view(a.name)) <
           std::pair(dtype_rank(b.dtype), std::string_view(b.name));
  });
  const auto quoted = [](std::string_view text) { return nlohmann::json(text).dump(); };
  std::string text = "{";
  const auto comma = [&] { return text.ends_with('{') ? "" : ","; };
  if (!header_.metadata.empty()) {
    text += quoted(kMetadata) + ":{";
    for (const auto& [key, value] : header_.metadata) text += comma() + quoted(key) + ":" + quoted(value);
    text += "}";
  }
  std::unordered_set<std::string_view> names = {kMetadata};
  uint64_t end = 0;
  for (auto& entry : header_.entries) {
    CHECK(safetensors_dtype_bits(entry.dtype) > 0, entry.name, " has dtype ", entry.dtype);
    CHECK(names.insert(entry.name).second, "the name ", entry.name, " is taken");
    const auto needed = count_bytes(entry);
    CHECK(needed.problem.empty(), entry.name, ": ", needed.problem);
    entry.begin = end;
    CHECK(!__builtin_add_overflow(end, needed.bytes, &end), entry.name, ": the file's size overflows");
    entry.end = end;
    text += comma() + quoted(entry.name) + ":{\"dtype\":" + quoted(entry.dtype) +
            ",\"shape\":" + nlohmann::json(entry.shape).dump() +
            ",\"data_offsets\":" + nlohmann::json({entry.begin, entry.end}).dump() + "}";
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  CHECK(text.size() <= SafetensorsHeader::kMaxBytes, "a header of ", text.size(), " bytes");
  const uint64_t length = text.size();
  prefix_.assign(reinterpret_cast<const char*>(&length), sizeof(length));
  prefix_ += text;
}

uint64_t SafetensorsLayout::file_size() const {
  return prefix_.size() + (header_.entries.empty() ? 0 : header_.entries.back().end);
}

}  // namespace granule
