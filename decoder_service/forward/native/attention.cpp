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

#include "attending.h"
#include "tiles.h"

namespace {

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

constexpr int ENOUGH = 4;   // blocks for a thread to have its part of the work, about
constexpr int WIDEST = 12;  // queries at a time in vectors: as many sums as there are registers for
constexpr int FEW = 5;      // queries that vectors are done with sooner than tiles
constexpr int MOST = 32;    // in tiles: so many that reading the cache is little of the work

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
    std::vector<float> rotated, shares;
    std::vector<typename Unit<T>::One> queries;
    std::vector<Lanes> scores, sums, tiled, last;

    void fit(size_t heads, size_t dim, size_t pages) {
        const size_t most = std::max<size_t>(WIDEST * heads, MOST);
        grow(rotated, dim);
        grow(shares, most);
        grow(queries, WIDEST * heads * dim / Unit<T>::SIZE);
        grow(scores, most * pages);
        grow(sums, most * dim / PAGE);
        grow(tiled, MOST * dim * sizeof(T) / sizeof(Lanes));
        grow(last, PAGE * dim * sizeof(T) / sizeof(Lanes));
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

    // A block's rows and the KV heads [head, head + heads_here).
    void attend_block(const Block& block, int64_t head, int64_t heads_here, Scratch<T>& scratch) const {
        if constexpr (HAS_TILES<T>)
            if (block.rows * group() > FEW && is_tiled()) {
                for (int64_t h = 0; h < heads_here; h++) attend_in_tiles(block, head + h, scratch);
                return;
            }
        for (int64_t first = 0; first < group(); first += together())
            attend_in_vectors(block, head, heads_here, first, std::min(together(), group() - first), scratch);
    }

    // `count` query heads of each KV head, from the first-th on.
    void attend_in_vectors(const Block& block, int64_t head, int64_t heads_here, int64_t first, int64_t count,
                           Scratch<T>& scratch) const {
        static const auto by_width = attend_by_width<T>(std::make_index_sequence<WIDEST>());
        const int64_t width = block.rows * count, at = head * heads.dim * PAGE;
        int64_t counts[WIDEST];
        for (int64_t each = 0; each < width; each++) {
            const int64_t row = block.row + each / count;
            counts[each] = positions[row] + 1;
            for (int64_t h = 0; h < heads_here; h++) {
                turned(row, (head + h) * group() + first + each % count, scratch.rotated.data());
                auto* const queries = scratch.queries.data() + h * heads.dim / Unit<T>::SIZE * width;
                pack(scratch.rotated.data(), each, width, queries);
            }
        }
        by_width[width - 1](scratch.queries.data(), counts, keys + at, values + at, table(block.row), heads_here,
                            heads.dim, heads.page, scale, scratch.scores.data(), scratch.sums.data(),
                            scratch.shares.data());
        for (int64_t h = 0; h < heads_here; h++)
            for (int64_t each = 0; each < width; each++) {
                const int64_t query = (head + h) * group() + first + each % count;
                put_result(block.row + each / count, query, scratch.sums.data() + h * heads.dim / PAGE * width + each,
                           width, scratch.shares[h * width + each]);
            }
    }

    void attend_in_tiles(const Block& block, int64_t head, Scratch<T>& scratch) const {
        const int64_t width = block.rows * group(), at = head * heads.dim * PAGE;
        T* const queries = reinterpret_cast<T*>(scratch.tiled.data());
        int64_t counts[MOST];
        for (int64_t each = 0; each < width; each++) {
            const int64_t row = block.row + each / group();
            counts[each] = positions[row] + 1;
            turned(row, head * group() + each % group(), scratch.rotated.data());
            T* const to = queries + each * heads.dim;
            for (int64_t i = 0; i < heads.dim; i += PAGE) put(lanes(scratch.rotated.data() + i), to + i);
        }
        attend_tiles(queries, width, counts, keys + at, values + at, table(block.row), heads.dim, heads.page, scale,
                     scratch.scores.data(), scratch.sums.data(), scratch.shares.data(),
                     reinterpret_cast<T*>(scratch.last.data()));
        for (int64_t each = 0; each < width; each++) {
            const Lanes* const set = scratch.sums.data() + each / TILE * heads.dim / PAGE * TILE;
            put_result(block.row + each / group(), head * group() + each % group(), set + each % TILE, TILE,
                       scratch.shares[each]);
        }
    }

    void put_result(int64_t row, int64_t query, const Lanes* sums, int64_t width, float share) const {
        T* const to = out + (row * heads.query + query) * heads.dim;
        for (int64_t i = 0; i < heads.dim / PAGE; i++) put(sums[i * width] * share, to + i * PAGE);
    }

    int64_t group() const { return heads.query / heads.kv; }
    int64_t together() const { return std::min<int64_t>(group(), WIDEST); }
    bool is_tiled() const { return HAS_TILES<T> && heads.dim % TILED_DIM == 0 && group() <= MOST; }

    void run(int64_t rows) const {
        std::vector<Block> blocks = blocks_of(sequences, rows, is_tiled() ? MOST / group() : WIDEST / together());
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
                attend_block(block, head, heads_each, scratch);
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
