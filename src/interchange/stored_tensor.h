#pragma once
// What a Hugging Face model keeps in its files: each tensor's name, and the parameter it holds. One list says
// how a model is written and how it is read.

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace granule {

/// A stretch of a tensor in the files.
struct TensorPlace {
  std::string name;
  std::vector<int64_t> shape;  ///< of the whole tensor
  int64_t begin = 0;           ///< first element of the stretch
};

struct StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string
      parameter;      ///< global name of what it holds; empty: zeros, for a part that Granule does not have
  float factor = 1;   ///< stored is this times the parameter; a power of two, so that nothing is rounded
  bool fp32 = false;  ///< written in fp32 whatever the other tensors are
  bool optional = false;                    ///< when reading, it may be missing
  std::vector<TensorPlace> elsewhere = {};  ///< where other writers put what it holds
};

/// Every parameter of such a model under its global name. Experts may also be read from the stacks that
/// transformers 5 keeps in memory: `experts.gate_up_proj` [E, 2F, D] and `experts.down_proj` [E, D, F].
std::vector<StoredTensor> store_under_global_names(const ModelConfig& config);

/// A shared MLP of zeros of one expert's width in every routed layer, for architectures that must have one:
/// `mlp.NAME.{gate,up,down}_proj.weight`.
void add_zero_shared_experts(const ModelConfig& config, const std::string& name,
                             std::vector<StoredTensor>& tensors);

/// model.layers.LAYER.REST
std::string layer_tensor(int64_t layer, const std::string& rest);

/// `text` with its first `from`, if there is one, replaced by `to`.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace granule
