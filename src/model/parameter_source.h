#pragma once
// Where the values of a model's parameters come from: a checkpoint, a Hugging Face directory, or one of these
// with something added to it. Read by global name and range of elements, so that any layout takes what it
// needs and nobody holds the whole.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace granule {

class ParameterSource {
 public:
  virtual ~ParameterSource() = default;

  /// What messages call it.
  virtual const std::string& path() const = 0;
  /// Global names of all there are.
  virtual std::vector<std::string> parameter_names() const = 0;
  /// Null if there is no parameter of that name.
  virtual const std::vector<int64_t>* find_shape(const std::string& name) const = 0;
  /// The elements [begin, begin + values.size()) of a parameter that is there, row-major. Throws InputError.
  virtual void read_values(const std::string& name, int64_t begin, std::span<float> values) const = 0;
};

/// Throws InputError unless the source has that parameter in that shape.
void check_parameter(const ParameterSource& source, const std::string& name,
                     const std::vector<int64_t>& shape);

/// Tells models apart: names, shapes and the first values of every parameter, as bf16, so that a model and
/// its export in bf16 are one. Never 0.
uint64_t fingerprint(const ParameterSource& source);

}  // namespace granule
