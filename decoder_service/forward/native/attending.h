// Attention of a few queries to what the cache holds of a sequence, in vectors (the cache: attention.cpp).
//
// What is kept of WIDTH queries of a head lies side by side, so that all of it is reached from one address: queries
// [dim / SIZE][WIDTH], scores [pages][WIDTH][16], sums [dim / 16][WIDTH][16]; and so head by head. The results are the
// sums, each by its query's share.

#pragma once

#include <utility>

#include "lanes.h"

namespace {

constexpr int PAGE = LANES;
constexpr Integers FIRST = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// What is multiplied at once: a number, or two of 16 bits. Of the one that multiplies many, numbers are kept as Kept.
template <typename T>
struct Unit;

template <>
struct Unit<float> {
    static constexpr int SIZE = 1;
    typedef float Kept;
    typedef float One;
    typedef Lanes Many;
};

#if defined(PAIRS_OF_BFLOAT16)
typedef bfloat16 KeptOfPair;
#else
typedef float KeptOfPair;
#endif

template <>
struct Unit<bfloat16> {
    static constexpr int SIZE = 2;
    typedef KeptOfPair Kept;
    struct One {
        Kept first, second;
    };
    typedef Bits Many;
};

inline Lanes units(const float* from) { return lanes(from); }

inline Bits units(const bfloat16* from) {
    Bits pairs;
    std::memcpy(&pairs, from, sizeof pairs);
    return pairs;
}

inline Lanes add_product(Lanes sum, Lanes many, float one) { return sum + many * one; }

inline Lanes add_product(Lanes sum, Bits many, const Unit<bfloat16>::One& one) {
#if defined(PAIRS_OF_BFLOAT16)
    uint32_t pair;
    std::memcpy(&pair, &one, sizeof pair);
    return reinterpret_cast<Lanes>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), reinterpret_cast<__m512bh>(many),
                                                    reinterpret_cast<__m512bh>(Bits{} + pair)));
#else
    const Lanes first = reinterpret_cast<Lanes>(many << 16), second = reinterpret_cast<Lanes>(many & 0xffff0000);
    sum += first * one.first;
    return sum + second * one.second;
#endif
}

inline void ask(const void* from) { __builtin_prefetch(from, 0, 2); }  // of the second cache: it waits for more at once

// The scores of WIDTH queries with a page's tokens. Where there are few, coordinates are summed apart, for each sum has
// to wait for its last addition. What lies at the same places of the `next` page is asked from memory meanwhile: pages
// lie apart, and the processor cannot foresee where.
template <typename T, int WIDTH, int APART, size_t... EACH>
inline void score(std::index_sequence<EACH...>, const typename Unit<T>::One* queries, const T* keys, const T* next,
                  int64_t dim, Lanes* scores) {
    constexpr int SIZE = Unit<T>::SIZE;
    Lanes grown[] = {(static_cast<void>(EACH), Lanes{})...};  // no loop goes over them, so that registers hold them
    for (int64_t i = 0; i < dim / SIZE; i += APART) {
        for (int part = 0; part < APART; part++) ask(next + (i + part) * PAGE * SIZE);
        ((grown[EACH] = add_product(grown[EACH], units(keys + (i + EACH / WIDTH) * PAGE * SIZE),
                                    queries[i * WIDTH + EACH])), ...);
    }
    ((grown[EACH % WIDTH] = EACH < WIDTH ? grown[EACH] : grown[EACH % WIDTH] + grown[EACH]), ...);
    ((scores[EACH % WIDTH] = grown[EACH % WIDTH]), ...);
}

template <typename T, int WIDTH>
inline void score(const typename Unit<T>::One* queries, const T* keys, const T* next, int64_t dim, Lanes* scores) {
    constexpr int APART = WIDTH <= 3 ? 4 : WIDTH <= 6 ? 2 : 1;
    score<T, WIDTH, APART>(std::make_index_sequence<WIDTH * APART>(), queries, keys, next, dim, scores);
}

// Adds a page's first `count` values, each by its weight, for WIDTH queries; two registers of coordinates at a time.
// What is beside the last of them in its unit has the weight 0.
template <typename T, int WIDTH>
inline void weigh(const Lanes* weights, const T* values, const T* next, int64_t count, int64_t dim, Lanes* sums) {
    constexpr int SIZE = Unit<T>::SIZE;
    typename Unit<T>::One weight[WIDTH][PAGE / SIZE];
    for (int g = 0; g < WIDTH; g++) put(weights[g], reinterpret_cast<typename Unit<T>::Kept*>(weight[g]));
    const int64_t used = (count + SIZE - 1) / SIZE;
    for (int64_t i = 0; i < dim; i += 2 * PAGE, sums += 2 * WIDTH) {
        Lanes low[WIDTH], high[WIDTH];
        for (int g = 0; g < WIDTH; g++) low[g] = sums[g], high[g] = sums[WIDTH + g];
        for (int64_t j = 0; j < used; j++) {
            const int64_t at = (j * dim + i) * SIZE, beside = at + PAGE * SIZE;
            const auto first = units(values + at), second = units(values + beside);
            ask(next + at);
            ask(next + beside);
            for (int g = 0; g < WIDTH; g++) {
                low[g] = add_product(low[g], first, weight[g][j]);
                high[g] = add_product(high[g], second, weight[g][j]);
            }
        }
        for (int g = 0; g < WIDTH; g++) sums[g] = low[g], sums[WIDTH + g] = high[g];
    }
}

// Scores of `used` queries, [pages][WIDTH][16], become weights at the same places, kept as KEPT, up to a share that is the
// same for all weights of a query: of its first counts[g] tokens, by `scale`; the rest, up to the end of the pages, weigh
// nothing.
template <typename KEPT, int WIDTH>
inline void softmax(Lanes* scores, int used, const int64_t* counts, int64_t pages, float scale, float* shares) {
    for (int g = 0; g < used; g++)
        for (int64_t p = counts[g] / PAGE; p < pages; p++) {
            const Integers left = Integers{} + static_cast<int32_t>(counts[g] - p * PAGE);
            Lanes& score = scores[p * WIDTH + g];
            score = FIRST < left ? score : Lanes{} - INFINITY;
        }
    Lanes most[WIDTH], total[WIDTH] = {};
    std::copy_n(scores, WIDTH, most);
    for (int64_t p = 1; p < pages; p++)
        for (int g = 0; g < used; g++) most[g] = scores[p * WIDTH + g] > most[g] ? scores[p * WIDTH + g] : most[g];
    float top[WIDTH];
    for (int g = 0; g < used; g++) top[g] = highest(most[g]);
    KEPT* const weights = reinterpret_cast<KEPT*>(scores);  // no larger than scores, so none is written before its score
    for (int64_t p = 0; p < pages; p++)                     // is read
        for (int g = 0; g < used; g++) {
            const Lanes weight = exponential((scores[p * WIDTH + g] - top[g]) * scale);
            total[g] += weight;
            put(weight, weights + (p * WIDTH + g) * PAGE);
        }
    for (int g = 0; g < used; g++) shares[g] = 1.0f / sum(total[g]);
}

// Attention of one sequence's queries on `heads` KV heads that follow one another, WIDTH queries on each; query g of a
// head sees the first counts[g] tokens in its pages. `keys` and `values` point at the first of the heads in page 0. Of a
// page, what is read for all of the heads lies in one piece.
template <typename T, int WIDTH>
void attend(const typename Unit<T>::One* queries, const int64_t* counts, const T* keys, const T* values,
            const int32_t* table, int64_t heads, int64_t dim, int64_t page, float scale, Lanes* scores, Lanes* sums,
            float* shares) {
    const int64_t count = *std::max_element(counts, counts + WIDTH), head = dim * PAGE;
    const int64_t pages = (count + PAGE - 1) / PAGE, queries_each = dim / Unit<T>::SIZE * WIDTH;
    for (int64_t p = 0; p < pages; p++) {
        const T* const here = keys + table[p] * page;
        const T* const next = p + 1 < pages ? keys + table[p + 1] * page : values + table[0] * page;
        for (int64_t h = 0; h < heads; h++)
            score<T, WIDTH>(queries + h * queries_each, here + h * head, next + h * head, dim,
                            scores + (h * pages + p) * WIDTH);
    }
    for (int64_t h = 0; h < heads; h++)
        softmax<float, WIDTH>(scores + h * pages * WIDTH, WIDTH, counts, pages, scale, shares + h * WIDTH);
    const int64_t sums_each = WIDTH * dim / PAGE;
    std::fill_n(sums, heads * sums_each, Lanes{});
    for (int64_t p = 0; p < pages; p++) {
        const int64_t used = std::min<int64_t>(PAGE, count - p * PAGE);
        const T* const here = values + table[p] * page;
        const T* const next = p + 1 < pages ? values + table[p + 1] * page : here;
        for (int64_t h = 0; h < heads; h++)
            weigh<T, WIDTH>(scores + (h * pages + p) * WIDTH, here + h * head, next + h * head, used, dim,
                            sums + h * sums_each);
    }
}

}  // namespace
