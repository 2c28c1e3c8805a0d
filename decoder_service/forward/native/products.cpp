// Products with weights in 4 or 8 bits.
//
//     weight = scale * code + minimum, for each output and each group of 32 inputs
//
// The inputs are rounded to 8 bits too, each group of 32 by a scale of its own, as llama.cpp does (its Q8_1), so that the
// processor's dot product of bytes does the work and a group costs a few operations in float:
//
//     sum(x * weight) = scale * x.scale * sum(code * x.code) + minimum * x.sum
//
// A record holds a group of 16 outputs, and the records of 16 outputs follow one another, so that the weights are read
// from memory once, in order. Rows are taken by up to 8, for which sums are kept in registers; each sum is made in the
// same order whatever the rows beside it, so a row's result does not depend on its company.

#include <array>
#include <utility>
#include <vector>

#include "lanes.h"

namespace {

constexpr int GROUP = 32, QUAD = 4, MOST_ROWS = 12;
constexpr int AHEAD = 8;  // records that are asked from memory before their turn


typedef uint8_t Bytes __attribute__((vector_size(LANES * QUAD)));
typedef uint16_t Words __attribute__((vector_size(LANES * QUAD)));

// The codes of a quad of inputs for 16 outputs are one vector of bytes, output by output. In 4 bits, a vector holds two
// quads, the first in the low halves.
template <int BITS>
struct alignas(64) Record {
    uint16_t scales[LANES], minimums[LANES];  // float16, as GGUF files have them
    Bytes codes[GROUP / QUAD * BITS / 8];
};

struct Inputs {
    float scale, sum;  // sum: of the rounded inputs
    int8_t codes[GROUP];
};

inline Lanes from_halves(const uint16_t* from) {
#if defined(__AVX512F__)
    return reinterpret_cast<Lanes>(_mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(from))));
#else
    HalfBits half;
    std::memcpy(&half, from, sizeof half);
    const Bits bits = __builtin_convertvector(half, Bits), size = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    const Lanes scaled = reinterpret_cast<Lanes>(size) * 0x1p112f;  // the exponents' offsets are 15 and 127
    return reinterpret_cast<Lanes>(reinterpret_cast<Bits>(scaled) | sign);
#endif
}

// Adds, for 16 outputs, the products of four codes with four inputs' codes.
inline Integers dot(Integers sum, Bytes codes, const int8_t* inputs) {
#if defined(__AVX512VNNI__)
    int32_t quad;
    std::memcpy(&quad, inputs, sizeof quad);
    return reinterpret_cast<Integers>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum),
                                                          reinterpret_cast<__m512i>(codes), _mm512_set1_epi32(quad)));
#else
    const Bits quads = reinterpret_cast<Bits>(codes);
    for (int i = 0; i < QUAD; i++) sum += reinterpret_cast<Integers>((quads >> 8 * i) & 0xff) * inputs[i];
    return sum;
#endif
}

// The dot products of a record's codes with ROWS rows' inputs.
template <int ROWS>
inline void dots(const Record<4>& record, const Inputs* x, int64_t groups, Integers* sums) {
    const Bytes low_half = Bytes{} + 15;
#pragma GCC unroll 4
    for (int i = 0; i < GROUP / QUAD / 2; i++) {
        const Bytes low = record.codes[i] & low_half;
        const Bytes high = reinterpret_cast<Bytes>(reinterpret_cast<Words>(record.codes[i]) >> 4) & low_half;
        for (int row = 0; row < ROWS; row++) {
            const int8_t* inputs = x[row * groups].codes + 2 * QUAD * i;
            sums[row] = dot(dot(sums[row], low, inputs), high, inputs + QUAD);
        }
    }
}

template <int ROWS>
inline void dots(const Record<8>& record, const Inputs* x, int64_t groups, Integers* sums) {
#pragma GCC unroll 8
    for (int i = 0; i < GROUP / QUAD; i++)
        for (int row = 0; row < ROWS; row++)
            sums[row] = dot(sums[row], record.codes[i], x[row * groups].codes + QUAD * i);
}

// 16 outputs of ROWS rows.
template <int BITS, int ROWS>
void multiply(const Record<BITS>* records, const Inputs* x, int64_t groups, Lanes* out) {
    Lanes totals[ROWS] = {};
    for (int64_t group = 0; group < groups; group++, records++, x++) {
        Integers sums[ROWS] = {};
        for (size_t at = 0; at < sizeof *records; at += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(records + AHEAD) + at);
        dots<ROWS>(*records, x, groups, sums);
        const Lanes scale = from_halves(records->scales), minimum = from_halves(records->minimums);
        for (int row = 0; row < ROWS; row++) {
            const Inputs& inputs = x[row * groups];
            totals[row] = __builtin_convertvector(sums[row], Lanes) * inputs.scale * scale + totals[row];
            totals[row] = minimum * inputs.sum + totals[row];
        }
    }
    std::copy_n(totals, ROWS, out);
}

template <int BITS, size_t... ROWS>
auto multiply_by_rows(std::index_sequence<ROWS...>) {
    return std::array{multiply<BITS, ROWS + 1>...};
}

// To the nearest of 255 steps. A NaN makes the scale one, for as an integer it is larger than any number.
template <typename T>
void round_inputs(const T* from, Inputs& to) {
    const Lanes low = lanes(from), high = lanes(from + LANES);
    const Integers a = reinterpret_cast<Integers>(low) & 0x7fffffff, b = reinterpret_cast<Integers>(high) & 0x7fffffff;
    const Lanes sizes = reinterpret_cast<Lanes>(a > b ? a : b);
    int32_t largest = 0;
    for (int i = 0; i < LANES; i++) largest = std::max(largest, reinterpret_cast<Integers>(sizes)[i]);
    float most;
    std::memcpy(&most, &largest, sizeof most);
    const float steps = largest ? 127 / most : 0;
    // Adding this leaves the nearest integer in the low bits.
    const Lanes shift = Lanes{} + 0x1.8p23f;
    const Integers none = reinterpret_cast<Integers>(shift);
    const Integers first = reinterpret_cast<Integers>(low * steps + shift) - none;
    const Integers second = reinterpret_cast<Integers>(high * steps + shift) - none;
    typedef int8_t Codes __attribute__((vector_size(LANES)));
    const Codes narrow[2] = {__builtin_convertvector(first, Codes), __builtin_convertvector(second, Codes)};
    std::memcpy(to.codes, narrow, sizeof narrow);
    to.scale = most / 127;
    to.sum = to.scale * sum(__builtin_convertvector(first + second, Lanes));
}

template <int BITS, typename T, typename OUT>
struct Product {
    const Record<BITS>* records;  // [outputs / 16, rounded up][inputs / 32]
    const T *x, *bias;            // [rows][inputs], [outputs] or null
    OUT* out;                     // [rows][outputs]
    int64_t rows, inputs, outputs;

    void run() const {
        // One for the thread that calls; it grows to the largest product and stays.
        static thread_local std::vector<Inputs> rounded;
        const int64_t groups = inputs / GROUP, tiles = (outputs + LANES - 1) / LANES;
        rounded.resize(std::max<size_t>(rounded.size(), rows * groups));
        Inputs* const to = rounded.data();
        const bool alone = rows * groups < 256;  // so few that waking others takes longer
        if (alone) for (int64_t group = 0; group < rows * groups; group++) round_inputs(x + group * GROUP, to[group]);
#pragma omp parallel
        {
            if (!alone) {
#pragma omp for
                for (int64_t group = 0; group < rows * groups; group++) round_inputs(x + group * GROUP, to[group]);
            }
#pragma omp for nowait
            for (int64_t tile = 0; tile < tiles; tile++) multiply_tile(tile, to, groups);
        }
    }

    // All rows, in equal parts, while the tile's weights are in the processor's cache.
    void multiply_tile(int64_t tile, const Inputs* rounded, int64_t groups) const {
        static const auto by_rows = multiply_by_rows<BITS>(std::make_index_sequence<MOST_ROWS>());
        const int64_t parts = (rows + MOST_ROWS - 1) / MOST_ROWS;
        Lanes sums[MOST_ROWS];
        for (int64_t part = 0; part < parts; part++) {
            const int64_t row = part * rows / parts, count = (part + 1) * rows / parts - row;
            by_rows[count - 1](records + tile * groups, rounded + row * groups, groups, sums);
            for (int64_t i = 0; i < count; i++) put_tile(tile, sums[i], row + i);
        }
    }

    void put_tile(int64_t tile, Lanes& sums, int64_t row) const {
        const int64_t first = tile * LANES, count = std::min<int64_t>(LANES, outputs - first);
        OUT* const to = out + row * outputs + first;
        if (count == LANES) return put(bias ? sums + lanes(bias + first) : sums, to);
        OUT narrow[LANES];
        T padded[LANES] = {};
        if (bias) std::copy_n(bias + first, count, padded);
        put(sums + lanes(padded), narrow);
        std::copy_n(narrow, count, to);
    }
};

}  // namespace

#define EXPORTED(BITS, T, OUT, NAME)                                                                                   \
    extern "C" void product_##BITS##_##NAME(const void* records, const T* x, const T* bias, OUT* out, int64_t rows,    \
                                            int64_t inputs, int64_t outputs) {                                         \
        Product<BITS, T, OUT>{static_cast<const Record<BITS>*>(records), x, bias, out, rows, inputs, outputs}.run();   \
    }

EXPORTED(4, float, float, float32)
EXPORTED(8, float, float, float32)
EXPORTED(4, bfloat16, bfloat16, bfloat16)
EXPORTED(8, bfloat16, bfloat16, bfloat16)
EXPORTED(4, bfloat16, float, bfloat16_to_float32)
EXPORTED(8, bfloat16, float, bfloat16_to_float32)
