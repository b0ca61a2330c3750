#pragma once
// Numbers as files hold them, to fp32 and back.

#include <cstdint>
#include <span>
#include <string>

namespace granule {

/// Bytes of an element of "F32", "F16" or "BF16"; 0 for any other dtype.
uint64_t float_bytes(const std::string& dtype);

/// `bytes` holds as many elements as `values`.
void widen(const std::string& dtype, const void* bytes, std::span<float> values);

/// Rounds to nearest, ties to even.
void narrow(const std::string& dtype, std::span<const float> values, void* bytes);

}  // namespace granule
