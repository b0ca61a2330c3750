#pragma once
// Tests of kernels on each instruction set that this CPU has.

#include <c10/core/ScalarType.h>

#include <tuple>
#include <utility>
#include <vector>

#include "ops/isa.h"

namespace granule {

/// The kernels of one set, until the end of the scope.
class IsaScope {
 public:
  explicit IsaScope(Isa isa) { set_kernel_isa(isa_name(isa)); }
  ~IsaScope() { set_kernel_isa("auto"); }
};

inline std::vector<Isa> isas_of_this_cpu() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kPlain, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    if (cpu_has(isa)) isas.push_back(isa);
  }
  return isas;
}

/// Each set with each (dtype, tolerance).
inline std::vector<std::tuple<Isa, c10::ScalarType, double>> on_every_isa(
    const std::vector<std::pair<c10::ScalarType, double>>& dtypes) {
  std::vector<std::tuple<Isa, c10::ScalarType, double>> all;
  for (const Isa isa : isas_of_this_cpu()) {
    for (const auto& [dtype, tolerance] : dtypes) all.emplace_back(isa, dtype, tolerance);
  }
  return all;
}

}  // namespace granule
