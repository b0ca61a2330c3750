#pragma once
// Tensors as the element types of the kernels.

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "ops/kernels.h"

namespace granule {

/// The data of an fp32 (Element float) or bf16 (Element Bf16) tensor, also for writing.
template <class Element>
Element* elements(const at::Tensor& tensor) {
  using Stored = std::conditional_t<std::is_same_v<Element, Bf16>, c10::BFloat16, Element>;
  return reinterpret_cast<Element*>(tensor.mutable_data_ptr<Stored>());
}

}  // namespace granule
