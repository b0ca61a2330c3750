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

/// Whether the kernels take rows of such elements: fp32 or bf16, in host memory, a multiple of 16 wide.
inline bool kernels_take(const at::Tensor& x, int64_t width) {
  const auto dtype = x.scalar_type();
  return x.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16) && width > 0 && width % 16 == 0;
}

/// Calls body(Element()) for fp32 or bf16.
template <class Body>
void with_element(at::ScalarType dtype, const Body& body) {
  if (dtype == at::kFloat) {
    body(float());
  } else {
    body(Bf16());
  }
}

/// The same if the kernels take such rows; else says false.
template <class Body>
bool with_kernel_element(const at::Tensor& x, int64_t width, const Body& body) {
  if (!kernels_take(x, width)) return false;
  with_element(x.scalar_type(), body);
  return true;
}

}  // namespace granule
