#pragma once
// Which instruction set the CPU kernels use: chosen from what the CPU has, or by the user.

#include <string>

namespace granule {

enum class Isa { kPlain, kAvx2, kAvx512, kAvx512Bf16 };

/// "plain", "avx2", "avx512", "avx512_bf16".
const char* isa_name(Isa isa);
bool cpu_has(Isa isa);

/// "auto" takes the best the CPU has. Throws ConfigError for an unknown name or one that the CPU lacks. Not
/// while kernels run.
void set_kernel_isa(const std::string& name);
Isa kernel_isa();

}  // namespace granule
