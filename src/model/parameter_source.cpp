#include "model/parameter_source.h"

#include <c10/util/BFloat16.h>
#include <c10/util/accumulate.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

namespace granule {

void check_parameter(const ParameterSource& source, const std::string& name,
                     const std::vector<int64_t>& shape) {
  const auto* found = source.find_shape(name);
  if (found == nullptr) throw InputError(source.path(), "has no parameter ", name, ", which the model needs");
  if (*found != shape) {
    throw InputError(source.path(), name, " has shape ", shape_text(*found), ", expected ",
                     shape_text(shape));
  }
}

uint64_t fingerprint(const ParameterSource& source) {
  constexpr int64_t kValues = 64;
  auto names = source.parameter_names();
  std::ranges::sort(names);
  Hasher hasher;
  std::vector<float> values;
  for (const auto& name : names) {
    const auto& shape = *source.find_shape(name);
    const auto what = name + shape_text(shape);
    hasher.update(what.data(), what.size());
    values.resize(static_cast<size_t>(std::min(kValues, c10::multiply_integers(shape))));
    source.read_values(name, 0, values);
    for (const auto value : values) {
      const uint16_t bits = c10::BFloat16(value).x;
      hasher.update(&bits, sizeof bits);
    }
  }
  return std::max<uint64_t>(1, hasher.digest());
}

}  // namespace granule
