#pragma once
// How a parameter lies on the mesh, and under which global names: what the model tells optimizer and
// checkpoint.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace granule {

enum class Placement {
  kReplicated,  ///< the same on all data x expert ranks
  kExpert,      ///< other experts on every expert rank, the same on all data ranks
};

/// A part of a tensor with a global name (Hugging Face's): the whole of it, or one expert's matrix of a
/// stack.
struct ParameterPiece {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;  ///< in elements from the tensor's beginning
};

/// Of parameters that belong to no block of the model: embedding, head, last norm.
inline constexpr int64_t kNoBlock = -1;

struct PlacedParameter {
  at::Tensor tensor;  ///< a leaf; its pieces cover it, in order
  Placement placement = Placement::kReplicated;
  bool decays = true;  ///< weight decay applies: matrices yes, norms and biases no
  std::vector<ParameterPiece> pieces;
  int64_t block = kNoBlock;  ///< number of the model's block that it belongs to
};

}  // namespace granule
