#pragma once
// Numbers as files hold them, to fp32 and back.

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/safetensors.h"

namespace granule {

/// "BF16" for bf16, else "F32".
std::string dtype_name(c10::ScalarType dtype);

/// Bytes of an element of "F32", "F16" or "BF16"; 0 for any other dtype.
uint64_t float_bytes(const std::string& dtype);

/// `bytes` holds as many elements as `values`.
void widen(const std::string& dtype, const void* bytes, std::span<float> values);

/// Elements of a tensor of `file` from `begin` on, of such a dtype. Throws InputError.
void read_floats(const SafetensorsFile& file, const SafetensorsEntry& entry, int64_t begin,
                 std::span<float> values);

/// Rounds to nearest, ties to even.
void narrow(const std::string& dtype, std::span<const float> values, void* bytes);

}  // namespace granule
