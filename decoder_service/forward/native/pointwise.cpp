// Residual and norm, and the gate of the MLP.

#include "lanes.h"

namespace {

template <typename T>
void add_norm(float* residual, const T* delta, const float* weight, T* out, int64_t rows, int64_t width, float epsilon) {
#pragma omp parallel for if (rows > 8)
    for (int64_t row = 0; row < rows; row++) {
        float* x = residual + row * width;
        Lanes squares = {};
        for (int64_t i = 0; i < width; i += LANES) {
            Lanes each = lanes(x + i);
            if (delta) put(each += lanes(delta + row * width + i), x + i);
            squares += each * each;
        }
        const float scale = 1.0f / std::sqrt(sum(squares) / width + epsilon);
        for (int64_t i = 0; i < width; i += LANES) put(lanes(x + i) * scale * lanes(weight + i), out + row * width + i);
    }
}

template <typename T>
void gate(const T* gate_up, T* out, int64_t rows, int64_t width) {
#pragma omp parallel for if (rows > 4)
    for (int64_t row = 0; row < rows; row++) {
        const T* g = gate_up + row * 2 * width;
        for (int64_t i = 0; i < width; i += LANES) {
            const Lanes x = lanes(g + i);
            put(x / (1.0f + exponential(-x)) * lanes(g + width + i), out + row * width + i);
        }
    }
}

}  // namespace

#define EXPORTED(T, NAME)                                                                                              \
    extern "C" void add_norm_##NAME(float* residual, const T* delta, const float* weight, T* out, int64_t rows,        \
                                    int64_t width, float epsilon) {                                                    \
        add_norm(residual, delta, weight, out, rows, width, epsilon);                                                  \
    }                                                                                                                  \
    extern "C" void gate_##NAME(const T* gate_up, T* out, int64_t rows, int64_t width) {                               \
        gate(gate_up, out, rows, width);                                                                               \
    }

EXPORTED(float, float32)
EXPORTED(bfloat16, bfloat16)
