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

/// Calls body(Element()) for fp32 and bf16 rows whose width the kernels take, a multiple of 16; else says
/// false.
template <class Body>
bool with_kernel_element(at::ScalarType dtype, int64_t width, const Body& body) {
  if (width % 16 != 0 || width == 0) return false;
  if (dtype == at::kFloat) {
    body(float());
  } else if (dtype == at::kBFloat16) {
    body(Bf16());
  } else {
    return false;
  }
  return true;
}

}  // namespace granule
