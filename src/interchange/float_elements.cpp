#include "interchange/float_elements.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace granule {

namespace {

// Calls `work` with a zero of the type that `dtype` names.
template <class Work>
void with_type(const std::string& dtype, const Work& work) {
  if (dtype == "F32") return work(float());
  if (dtype == "F16") return work(c10::Half());
  if (dtype == "BF16") return work(c10::BFloat16());
  CHECK(false, "dtype ", dtype);
}

}  // namespace

std::string dtype_name(c10::ScalarType dtype) {
  return dtype == c10::kBFloat16 ? "BF16" : "F32";
}

uint64_t float_bytes(const std::string& dtype) {
  if (dtype == "F32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

void widen(const std::string& dtype, const void* bytes, std::span<float> values) {
  with_type(dtype, [&](auto zero) {
    const auto* stored = static_cast<const decltype(zero)*>(bytes);
    std::transform(stored, stored + values.size(), values.begin(),
                   [](auto value) { return static_cast<float>(value); });
  });
}

void read_floats(const SafetensorsFile& file, const SafetensorsEntry& entry, int64_t begin,
                 std::span<float> values) {
  const auto size = float_bytes(entry.dtype);
  const auto offset = static_cast<uint64_t>(begin) * size;
  if (entry.dtype == "F32") return file.read(entry, offset, values.data(), values.size_bytes());
  std::vector<char> bytes(values.size() * size);
  file.read(entry, offset, bytes.data(), bytes.size());
  widen(entry.dtype, bytes.data(), values);
}

void narrow(const std::string& dtype, std::span<const float> values, void* bytes) {
  with_type(dtype, [&](auto zero) {
    using Element = decltype(zero);
    std::transform(values.begin(), values.end(), static_cast<Element*>(bytes),
                   [](float value) { return static_cast<Element>(value); });
  });
}

}  // namespace granule
