#pragma once
// Vectors of the instruction set that a kernels_<set>.cpp is compiled for. The compiler's vector types give
// the arithmetic; what it cannot express, a simd_<set>.h adds. That file sets GRANULE_ISA (the namespace),
// GRANULE_VECTOR_BYTES and kTileRows.
//
// Everything here is in the set's own namespace: a function shared between sets would be kept once by the
// linker, perhaps with instructions that the CPU lacks. For the same reason kernels use nothing of the
// standard library that is more than a type.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ops/kernels.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kWidth = GRANULE_VECTOR_BYTES / 4;  // lanes of 32 bits
using Vec = float __attribute__((vector_size(GRANULE_VECTOR_BYTES)));
using IntVec = int32_t __attribute__((vector_size(GRANULE_VECTOR_BYTES)));
using HalfVec = uint16_t __attribute__((vector_size(GRANULE_VECTOR_BYTES / 2)));  // as many lanes, of 16 bits
using WordVec = uint16_t __attribute__((vector_size(GRANULE_VECTOR_BYTES)));

template <class T>
inline T smaller(T a, T b) {
  return a < b ? a : b;
}
template <class T>
inline T larger(T a, T b) {
  return a < b ? b : a;
}
inline int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

template <class V, class T>
inline V load_as(const T* source) {
  V value;
  std::memcpy(&value, source, sizeof(V));
  return value;
}
template <class V, class T>
inline void store_as(T* target, V value) {
  std::memcpy(target, &value, sizeof(V));
}

inline Vec splat(float value) {
  return Vec{} + value;
}
inline IntVec splat(int32_t value) {
  return IntVec{} + value;
}
/// 0, 1, 2 ..
inline IntVec lane_numbers() {
  static constexpr int32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  static_assert(sizeof(IntVec) <= sizeof(numbers));
  return load_as<IntVec>(numbers);
}

inline IntVec bits_of(Vec value) {
  return load_as<IntVec>(&value);
}
inline Vec vec_of(IntVec bits) {
  return load_as<Vec>(&bits);
}

}  // namespace granule::GRANULE_ISA
