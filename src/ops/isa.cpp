#include "ops/isa.h"

#include <array>
#include <atomic>

#include "base/check.h"

namespace granule {

namespace {

constexpr std::array kBestFirst = {Isa::kAvx512Bf16, Isa::kAvx512, Isa::kAvx2, Isa::kPlain};

Isa best_isa() {
  for (const Isa isa : kBestFirst) {
    if (cpu_has(isa)) return isa;
  }
  return Isa::kPlain;
}

// A property of the process, like the CPU itself.
std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = best_isa();
  return isa;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return "plain";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
  }
  return "?";
}

#ifdef __x86_64__
bool cpu_has(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (isa) {
    case Isa::kPlain:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}
#else
bool cpu_has(Isa isa) {
  return isa == Isa::kPlain;
}
#endif

void set_kernel_isa(const std::string& name) {
  if (name == "auto") {
    current() = best_isa();
    return;
  }
  for (const Isa isa : kBestFirst) {
    if (name != isa_name(isa)) continue;
    if (!cpu_has(isa)) throw ConfigError("train.kernel_isa", name, "is not supported by this CPU");
    current() = isa;
    return;
  }
  throw ConfigError("train.kernel_isa", name, "must be auto, plain, avx2, avx512 or avx512_bf16");
}

Isa kernel_isa() {
  return current();
}

}  // namespace granule
