#include "train/checkpoint_manifest.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/file.h"
#include "base/hash.h"
#include "base/strict_json.h"

namespace granule {

namespace {

using Json = nlohmann::ordered_json;

constexpr char kFormat[] = "granule checkpoint";
constexpr int64_t kVersion = 1;
// {"xxh3":"0123456789abcdef",
constexpr std::string_view kBeforeHash = "{\"xxh3\":\"";
constexpr std::string_view kAfterHash = "\",\n";
constexpr size_t kHashDigits = 16;
constexpr size_t kPrefixBytes = kBeforeHash.size() + kHashDigits + kAfterHash.size();

std::string prefix_of(std::string_view rest) {
  return std::string(kBeforeHash) + hash_text(hash_bytes(rest)) + std::string(kAfterHash);
}

uint64_t parse_hash(const Json& json) {
  const auto& text = json.get_ref<const std::string&>();
  uint64_t hash = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hash, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != kHashDigits) {
    throw std::invalid_argument("hash \"" + text + "\"");
  }
  return hash;
}

Json print_state(const CheckpointManifest& manifest) {
  const auto& state = manifest.state;
  return {{"step", state.step},
          {"num_updates", manifest.num_updates},
          {"has_moments", manifest.has_moments},
          {"consumed_samples", state.consumed_samples},
          {"consumed_tokens", state.consumed_tokens},
          {"skipped_steps", state.skipped_steps},
          {"skipped_in_a_row", state.skipped_in_a_row},
          {"seed", state.seed},
          {"data_xxh3", hash_text(state.data_fingerprint)},
          {"base_xxh3", hash_text(state.base_fingerprint)}};
}

void parse_state(const JsonField& json, CheckpointManifest& manifest) {
  constexpr auto kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  auto& state = manifest.state;
  const auto count = [&](const char* name) { return json[name].integer(0, kMax); };
  state.step = count("step");
  manifest.num_updates = count("num_updates");
  manifest.has_moments = json.boolean_or("has_moments", true);
  state.consumed_samples = count("consumed_samples");
  state.consumed_tokens = count("consumed_tokens");
  state.skipped_steps = count("skipped_steps");
  state.skipped_in_a_row = count("skipped_in_a_row");
  state.seed = json["seed"].integer(kMin, kMax);
  if (const auto data = json.find("data_xxh3")) state.data_fingerprint = parse_hash(data->value());
  if (const auto base = json.find("base_xxh3")) state.base_fingerprint = parse_hash(base->value());
}

Json print_parameter(const CheckpointParameter& parameter, size_t num_hashes) {
  Json slices = Json::array();
  for (const auto& slice : parameter.slices) {
    Json hashes = Json::array();
    for (size_t i = 0; i < num_hashes; ++i) hashes.push_back(hash_text(slice.hash[i]));
    slices.push_back(
        {{"file", slice.file}, {"begin", slice.begin}, {"count", slice.count}, {"xxh3", hashes}});
  }
  return {{"name", parameter.name},
          {"shape", parameter.shape},
          {"dtype", parameter.dtype},
          {"placement", parameter.placement},
          {"slices", slices}};
}

CheckpointParameter parse_parameter(const nlohmann::json& json, size_t num_hashes) {
  CheckpointParameter parameter;
  json.at("name").get_to(parameter.name);
  json.at("shape").get_to(parameter.shape);
  json.at("dtype").get_to(parameter.dtype);
  json.at("placement").get_to(parameter.placement);
  for (const auto& item : json.at("slices")) {
    auto& slice = parameter.slices.emplace_back();
    item.at("file").get_to(slice.file);
    item.at("begin").get_to(slice.begin);
    item.at("count").get_to(slice.count);
    for (size_t i = 0; i < num_hashes; ++i) slice.hash[i] = parse_hash(item.at("xxh3").at(i));
  }
  return parameter;
}

CheckpointManifest parse_content(const nlohmann::json& json, const std::string& path) {
  CheckpointManifest manifest;
  parse_state(JsonField(path, json)["state"], manifest);
  json.at("layout").at("pipeline").get_to(manifest.layout.pipeline);
  json.at("layout").at("data").get_to(manifest.layout.data);
  json.at("layout").at("expert").get_to(manifest.layout.expert);
  for (const auto& item : json.at("files")) {
    manifest.files.push_back(
        {item.at("name").get<std::string>(), item.at("bytes").get<uint64_t>(), parse_hash(item.at("xxh3"))});
  }
  const size_t num_hashes = manifest.state_tensors().size();
  for (const auto& item : json.at("parameters")) {
    manifest.parameters.push_back(parse_parameter(item, num_hashes));
  }
  return manifest;
}

void check_file_name(const std::string& name, const std::string& path) {
  if (!is_plain_file_name(name)) throw InputError(path, "\"", name, "\" is no name of a file in a checkpoint");
}

void check_slices(const CheckpointParameter& parameter, size_t num_files, const std::string& path) {
  int64_t elements = 1;
  for (const auto size : parameter.shape) {
    if (size < 0 || __builtin_mul_overflow(elements, size, &elements)) {
      throw InputError(path, parameter.name, " has an impossible shape");
    }
  }
  int64_t end = 0;
  for (const auto& slice : parameter.slices) {
    const bool in_order = slice.begin == end && slice.count > 0 && slice.count <= elements - end;
    if (!in_order || slice.file < 0 || slice.file >= static_cast<int64_t>(num_files)) {
      throw InputError(path, parameter.name, " has a slice of ", slice.count, " elements from ", slice.begin,
                       " in file ", slice.file, "; ", end, " of ", elements, " elements lie before it");
    }
    end += slice.count;
  }
  if (end != elements)
    throw InputError(path, parameter.name, " has ", end, " of its ", elements, " elements");
}

void check_manifest(const CheckpointManifest& manifest, const std::string& path) {
  for (const auto& file : manifest.files) check_file_name(file.name, path);
  for (size_t i = 0; i < manifest.parameters.size(); ++i) {
    const auto& parameter = manifest.parameters[i];
    if (i > 0 && parameter.name <= manifest.parameters[i - 1].name) {
      throw InputError(path, parameter.name, " stands there twice or out of order");
    }
    check_slices(parameter, manifest.files.size(), path);
  }
}

}  // namespace

int64_t CheckpointParameter::num_elements() const {
  int64_t count = 1;
  for (const auto size : shape) count *= size;
  return count;
}

const CheckpointParameter* CheckpointManifest::find(const std::string& name) const {
  const auto found =
      std::lower_bound(parameters.begin(), parameters.end(), name,
                       [](const auto& parameter, const auto& wanted) { return parameter.name < wanted; });
  return found == parameters.end() || found->name != name ? nullptr : &*found;
}

std::string print_manifest(const CheckpointManifest& manifest) {
  const Json head = {{"format", kFormat},
                     {"version", kVersion},
                     {"state", print_state(manifest)},
                     {"layout",
                      {{"pipeline", manifest.layout.pipeline},
                       {"data", manifest.layout.data},
                       {"expert", manifest.layout.expert}}}};
  auto rest = head.dump(1).substr(2);  // without its `{` and newline, which stand before the hash
  rest.resize(rest.size() - 2);        // and without newline and `}`
  const auto list = [&](const char* name, const auto& items, const auto& print) {
    rest += join_text(",\n \"", name, "\": [");
    for (size_t i = 0; i < items.size(); ++i) rest += (i > 0 ? ",\n  " : "\n  ") + print(items[i]).dump();
    rest += "]";
  };
  list("files", manifest.files, [](const CheckpointFileRecord& file) -> Json {
    return {{"name", file.name}, {"bytes", file.bytes}, {"xxh3", hash_text(file.hash)}};
  });
  list("parameters", manifest.parameters, [&](const CheckpointParameter& parameter) {
    return print_parameter(parameter, manifest.state_tensors().size());
  });
  rest += "\n}\n";
  return prefix_of(rest) + rest;
}

CheckpointManifest parse_manifest(const std::string& text, const std::string& path) {
  if (text.size() < kPrefixBytes) throw InputError(path, "ends after ", text.size(), " bytes");
  const auto rest = std::string_view(text).substr(kPrefixBytes);
  const auto expected = prefix_of(rest);
  const auto actual = std::string_view(text).substr(0, kPrefixBytes);
  if (actual != expected) {
    throw InputError(path, "is damaged: begins with ",
                     Json(actual).dump(-1, ' ', true, Json::error_handler_t::replace), ", its content needs ",
                     Json(expected).dump());
  }
  try {
    const auto json = parse_strict_json(text, path);
    if (json.at("format") != kFormat) throw InputError(path, "is no ", kFormat);
    if (json.at("version") != kVersion) {
      throw CheckpointVersionError(path, "has format version ", json.at("version").dump(),
                                   ", this program reads ", kVersion);
    }
    auto manifest = parse_content(json, path);
    check_manifest(manifest, path);
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path, error.what());
  } catch (const std::invalid_argument& error) {
    throw InputError(path, error.what());
  }
}

std::string slice_tensor_name(StateTensor tensor, const std::string& parameter,
                              const CheckpointSlice& slice) {
  constexpr std::array kNames = {"parameter", "exp_avg", "exp_avg_sq"};
  return join_text(kNames[static_cast<size_t>(tensor)], "/", parameter, "[", slice.begin, ":",
                   slice.begin + slice.count, "]");
}

}  // namespace granule
