// Sixteen numbers at a time.
//
// GCC's and Clang's vectors: the compiler makes of one what the machine has, and keeps it in registers. Every width is a
// multiple of 16 (architecture.py). T is float or bfloat16; all arithmetic is in float.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

constexpr int LANES = 16;

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint32_t Bits __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t HalfBits __attribute__((vector_size(LANES * sizeof(uint16_t))));

struct bfloat16 {
    uint16_t bits;
};

inline Lanes lanes(const float* from) {
    Lanes wide;
    std::memcpy(&wide, from, sizeof wide);
    return wide;
}

inline Lanes lanes(const bfloat16* from) {
    HalfBits half;
    std::memcpy(&half, from, sizeof half);
    return reinterpret_cast<Lanes>(__builtin_convertvector(half, Bits) << 16);
}

inline void put(const Lanes& from, float* to) { std::memcpy(to, &from, sizeof from); }

// To the nearest, ties to even. A NaN stays one: its low half, cut off, may have held all that made it a NaN. The
// instruction makes numbers below the smallest normal one 0.
inline void put(const Lanes& from, bfloat16* to) {
#if defined(__AVX512BF16__)
    const auto half = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(from));
#else
    const Bits bits = reinterpret_cast<Bits>(from);
    const Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
    const HalfBits half = __builtin_convertvector((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded, HalfBits);
#endif
    std::memcpy(to, &half, sizeof half);
}

// The upper half of what is left onto the lower one, until one is left.
template <typename COMBINE>
inline float folded(const Lanes& lanes, COMBINE combine) {
    float left[LANES];
    put(lanes, left);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) left[i] = combine(left[i], left[i + half]);
    return left[0];
}

inline float sum(const Lanes& lanes) {
    return folded(lanes, [](float a, float b) { return a + b; });
}

inline float highest(const Lanes& lanes) {
    return folded(lanes, [](float a, float b) { return a < b ? b : a; });
}

// e to the x, to about 2 units in the last place: e^x = 2^n e^r, |r| <= ln 2 / 2, with the polynomial of Cephes' expf.
inline Lanes exponential(Lanes x) {
    const Lanes low = Lanes{} - 87.0f, high = Lanes{} + 88.0f;
    x = x < low ? low : x;
    x = x > high ? high : x;
    const Integers n = __builtin_convertvector(x * 1.44269504f + 256.5f, Integers) - 256;
    const Lanes whole = __builtin_convertvector(n, Lanes);
    const Lanes r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    Lanes y = Lanes{} + 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    return y * reinterpret_cast<Lanes>((n + 127) << 23);
}

}  // namespace
