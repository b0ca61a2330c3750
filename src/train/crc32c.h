#pragma once
// CRC-32C (Castagnoli), the checksum of TensorBoard's records.

#include <cstdint>
#include <string_view>

namespace granule {

uint32_t crc32c(std::string_view bytes);

/// Rotated and shifted, as record files store it: a checksum of bytes that hold checksums stays strong.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace granule
