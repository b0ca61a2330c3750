#include "model/parameter_source.h"

#include "base/check.h"
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

}  // namespace granule
