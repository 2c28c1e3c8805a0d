// Rotation, the KV cache, attention.
//
// The cache of a layer, for a page of 16 tokens and a head:
//
//     float       keys [dim][16]          values [16][dim]
//     bfloat16    keys [dim / 2][16][2]   values [8][dim][2]
//
// One load brings a coordinate of 16 tokens, or a pair of coordinates, so 16 scores grow side by side, without a sum
// across lanes; and values likewise bring 16 coordinates of a token, or of a pair. A pair is what processors multiply and
// add at once, in float.

#include <omp.h>

#include <array>
#include <utility>
#include <vector>

#include "lanes.h"

namespace {

constexpr int PAGE = LANES;
constexpr Integers FIRST = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

struct Heads {
    int64_t query, kv, dim;
    int64_t width() const { return (query + 2 * kv) * dim; }
    int64_t page;  // elements from a page to the next, of keys or of values
};

// The rotation of one head's vector: pairs are halves apart, as in transformers' rotate_half.
template <typename T>
inline void rotate(const T* from, const float* cosine, const float* sine, int64_t half, float* to) {
    for (int64_t i = 0; i < half; i += PAGE) {
        const Lanes a = lanes(from + i), b = lanes(from + half + i), c = lanes(cosine + i), s = lanes(sine + i);
        put(a * c - b * s, to + i);
        put(b * c + a * s, to + half + i);
    }
}

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

#if defined(__AVX512BF16__)
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
#if defined(__AVX512BF16__)
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

// What is kept of WIDTH queries of a head lies side by side, so that all of it is reached from one address: queries
// [dim / SIZE][WIDTH], scores [pages][WIDTH][16], sums [dim / 16][WIDTH][16]; and so head by head.

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

// Of the first `count` scores of a query, each by `scale`; the rest, up to the end of the pages, become 0.
template <int WIDTH>
inline void softmax(Lanes* scores, int64_t count, int64_t pages, float scale) {
    for (int64_t p = count / PAGE; p < pages; p++) {
        const Integers left = Integers{} + static_cast<int32_t>(count - p * PAGE);
        scores[p * WIDTH] = FIRST < left ? scores[p * WIDTH] : Lanes{} - INFINITY;
    }
    Lanes most = scores[0], total = {};
    for (int64_t p = 1; p < pages; p++) most = scores[p * WIDTH] > most ? scores[p * WIDTH] : most;
    const float top = highest(most);
    for (int64_t p = 0; p < pages; p++) total += scores[p * WIDTH] = exponential((scores[p * WIDTH] - top) * scale);
    const float share = 1.0f / sum(total);
    for (int64_t p = 0; p < pages; p++) scores[p * WIDTH] *= share;
}

// Attention of one sequence's queries on `heads` KV heads that follow one another, WIDTH queries on each; query g of a
// head sees the first counts[g] tokens in its pages. `keys` and `values` point at the first of the heads in page 0. The
// results are left in `sums`. Of a page, what is read for all of the heads lies in one piece.
template <typename T, int WIDTH>
void attend(const typename Unit<T>::One* queries, const int64_t* counts, const T* keys, const T* values,
            const int32_t* table, int64_t heads, int64_t dim, int64_t page, float scale, Lanes* scores, Lanes* sums) {
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
        for (int g = 0; g < WIDTH; g++) softmax<WIDTH>(scores + h * pages * WIDTH + g, counts[g], pages, scale);
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

constexpr int ENOUGH = 4;   // blocks for a thread to have its part of the work, about
constexpr int WIDEST = 12;  // queries at a time: as many sums as there are registers for

template <typename T, size_t... WIDTHS>
auto attend_by_width(std::index_sequence<WIDTHS...>) {
    return std::array{attend<T, WIDTHS + 1>...};
}

// Rows of one sequence whose queries are taken together: what one reads of the cache serves all.
struct Block {
    int64_t row, rows;
};

std::vector<Block> blocks_of(const int32_t* sequences, int64_t rows, int64_t most) {
    std::vector<Block> blocks;
    for (int64_t row = 0; row < rows; row++) {
        const bool joins = !blocks.empty() && blocks.back().rows < most && sequences[row] == sequences[row - 1];
        if (joins) blocks.back().rows++;
        else blocks.push_back({row, 1});
    }
    return blocks;
}

// What a thread needs for a block. It grows to the largest and stays.
template <typename T>
struct Scratch {
    std::vector<float> rotated;
    std::vector<typename Unit<T>::One> queries;
    std::vector<Lanes> scores, sums;

    void fit(size_t heads, size_t dim, size_t pages) {
        grow(rotated, dim);
        grow(queries, WIDEST * heads * dim / Unit<T>::SIZE);
        grow(scores, WIDEST * heads * pages);
        grow(sums, WIDEST * heads * dim / PAGE);
    }

    template <typename EACH>
    static void grow(std::vector<EACH>& to, size_t size) {
        if (to.size() < size) to.resize(size);
    }
};

template <typename T>
struct Attention {
    const T* qkv;
    const float *cosines, *sines;  // [positions][dim / 2]
    const int32_t* tables;         // [sequences][table_width]
    int64_t table_width;
    const int32_t *sequences, *positions;  // [rows]
    T *keys, *values;
    T* out;  // [rows][query heads][dim]
    Heads heads;
    float scale;

    const int32_t* table(int64_t row) const { return tables + sequences[row] * table_width; }

    void turned(int64_t row, int64_t head, float* to) const {
        const int64_t half = heads.dim / 2, angle = positions[row] * half;
        rotate(qkv + row * heads.width() + head * heads.dim, cosines + angle, sines + angle, half, to);
    }

    void store(int64_t row, bool is_last, float* rotated) const {
        constexpr int SIZE = Unit<T>::SIZE;
        const int64_t slot = positions[row] % PAGE, page = table(row)[positions[row] / PAGE] * heads.page;
        const int64_t unit = slot / SIZE, place = slot % SIZE;
        for (int64_t head = 0; head < heads.kv; head++) {
            turned(row, heads.query + head, rotated);
            T* key = keys + page + head * heads.dim * PAGE + slot * SIZE;
            T narrow[PAGE];
            for (int64_t i = 0; i < heads.dim; i += PAGE) {
                put(lanes(rotated + i), narrow);
                for (int64_t j = 0; j < PAGE; j++) key[(i + j) / SIZE * PAGE * SIZE + j % SIZE] = narrow[j];
            }
            const T* value = qkv + row * heads.width() + (heads.query + heads.kv + head) * heads.dim;
            T* to = values + page + head * heads.dim * PAGE + unit * heads.dim * SIZE;
            for (int64_t i = 0; i < heads.dim; i++) to[i * SIZE + place] = value[i];
            if (is_last && place + 1 < SIZE)  // the other's place may hold what is no number, and 0 times that is none
                for (int64_t i = 0; i < heads.dim; i++) to[i * SIZE + place + 1] = T{};
        }
    }

    void pack(const float* rotated, int64_t each, int64_t width, typename Unit<T>::One* queries) const {
        constexpr int SIZE = Unit<T>::SIZE;
        typename Unit<T>::Kept kept[PAGE];
        for (int64_t i = 0; i < heads.dim; i += PAGE) {
            put(lanes(rotated + i), kept);
            for (int64_t j = 0; j < PAGE; j += SIZE)
                std::memcpy(queries + (i + j) / SIZE * width + each, kept + j, sizeof *queries);
        }
    }

    // `count` query heads, from the first-th of each on, of the KV heads [head, head + heads_here) and a block's rows.
    void attend_block(const Block& block, int64_t head, int64_t heads_here, int64_t first, int64_t count,
                      Scratch<T>& scratch) const {
        static const auto by_width = attend_by_width<T>(std::make_index_sequence<WIDEST>());
        const int64_t width = block.rows * count, group = heads.query / heads.kv, at = head * heads.dim * PAGE;
        int64_t counts[WIDEST];
        for (int64_t each = 0; each < width; each++) {
            const int64_t row = block.row + each / count;
            counts[each] = positions[row] + 1;
            for (int64_t h = 0; h < heads_here; h++) {
                turned(row, (head + h) * group + first + each % count, scratch.rotated.data());
                auto* const queries = scratch.queries.data() + h * heads.dim / Unit<T>::SIZE * width;
                pack(scratch.rotated.data(), each, width, queries);
            }
        }
        by_width[width - 1](scratch.queries.data(), counts, keys + at, values + at, table(block.row), heads_here,
                            heads.dim, heads.page, scale, scratch.scores.data(), scratch.sums.data());
        for (int64_t h = 0; h < heads_here; h++)
            for (int64_t each = 0; each < width; each++) {
                const int64_t row = block.row + each / count, query = (head + h) * group + first + each % count;
                const Lanes* const from = scratch.sums.data() + h * heads.dim / PAGE * width + each;
                for (int64_t i = 0; i < heads.dim / PAGE; i++)
                    put(from[i * width], out + (row * heads.query + query) * heads.dim + i * PAGE);
            }
    }

    void run(int64_t rows) const {
        const int64_t group = heads.query / heads.kv, together = std::min<int64_t>(group, WIDEST);
        std::vector<Block> blocks = blocks_of(sequences, rows, WIDEST / together);
        // The longest first, so that no thread is left with one at the end.
        std::stable_sort(blocks.begin(), blocks.end(),
                         [this](const Block& a, const Block& b) { return positions[a.row] > positions[b.row]; });
        const int64_t count = static_cast<int64_t>(blocks.size());
        const int64_t pages = *std::max_element(positions, positions + rows) / PAGE + 1;
        // All KV heads of a block at once, unless that leaves threads without work.
        const int64_t heads_each = count >= ENOUGH * omp_get_max_threads() ? heads.kv : 1;
#pragma omp parallel
        {
            static thread_local Scratch<T> scratch;
            scratch.fit(heads_each, heads.dim, pages);
#pragma omp for
            for (int64_t row = 0; row < rows; row++)
                store(row, row + 1 == rows || sequences[row + 1] != sequences[row], scratch.rotated.data());
#pragma omp for schedule(dynamic, 1)
            for (int64_t task = 0; task < count * (heads.kv / heads_each); task++) {
                const Block& block = blocks[task % count];
                const int64_t head = task / count;  // one after the other, for what blocks of a sequence read is the same
                for (int64_t first = 0; first < group; first += together)
                    attend_block(block, head, heads_each, first, std::min(together, group - first), scratch);
            }
        }
    }
};

}  // namespace

#define EXPORTED(T, NAME)                                                                                              \
    extern "C" void attend_##NAME(const T* qkv, const float* cosines, const float* sines, const int32_t* tables,       \
                                  int64_t table_width, const int32_t* sequences, const int32_t* positions, T* keys,    \
                                  T* values, int64_t page, T* out, int64_t rows, int64_t query_heads,                  \
                                  int64_t kv_heads, int64_t dim, float scale) {                                        \
        const Heads heads{query_heads, kv_heads, dim, page};                                                           \
        Attention<T>{qkv,       cosines, sines,  tables, table_width, sequences,                                       \
                     positions, keys,    values, out,    heads,  scale}                                                \
            .run(rows);                                                                                                \
    }

EXPORTED(float, float32)
EXPORTED(bfloat16, bfloat16)
