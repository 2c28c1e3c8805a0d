// Attention of many queries to what the cache holds of a sequence, in Intel's tiles (AMX): 16 rows of 64 bytes, of which
// an instruction multiplies two, numbers of 16 bits in pairs, and adds to a third of floats. The cache holds keys and
// values as the second of the two takes them (attention.cpp): its rows are pairs of coordinates of 16 tokens, or pairs of
// tokens with 16 coordinates.

#pragma once

#include <type_traits>

#include "attending.h"

namespace {

#if defined(__AMX_BF16__)
template <typename T>
constexpr bool HAS_TILES = std::is_same_v<T, bfloat16>;
#else
template <typename T>
constexpr bool HAS_TILES = false;
#endif

constexpr int TILE = 16;       // queries
constexpr int TILED_DIM = 64;  // coordinates of results at a time

#if defined(__AMX_BF16__)

// This thread's tiles, while it lives: 0 to 3 for sums, 4 and 5 for scores' factors, 6 and 7 for results'.
struct Tiles {
    Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, unused[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, PAGE * sizeof(bfloat16), 64};
            uint8_t rows[16] = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, PAGE / 2};
        } shapes;
        asm volatile("" : : "r"(&shapes) : "memory");  // the compiler thinks that less of it is read
        _tile_loadconfig(&shapes);
    }
    ~Tiles() { _tile_release(); }
};

// The compiler does not know what tiles read and write.
inline void written() { asm volatile("" ::: "memory"); }

inline void zero_tiles() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// The scores of 16 queries with a page's tokens.
inline void score_tile(const bfloat16* queries, const bfloat16* keys, int64_t dim, Lanes* scores) {
    _tile_zero(0);
    for (int64_t i = 0; i < dim; i += 2 * PAGE) {
        _tile_loadd(4, queries + i, dim * sizeof *queries);
        _tile_loadd(5, keys + i * PAGE, 64);
        _tile_dpbf16ps(0, 4, 5);
    }
    _tile_stored(0, scores, sizeof *scores);
}

// Adds 64 coordinates of a page's values by the weights of 16 queries.
inline void weigh_tiles(const bfloat16* weights, const bfloat16* values, int64_t dim) {
    const int64_t row = 2 * dim * sizeof *values;
    _tile_loadd(6, weights, PAGE * sizeof *weights);
    _tile_loadd(7, values, row);
    _tile_dpbf16ps(0, 6, 7);
    _tile_loadd(7, values + 2 * PAGE, row);
    _tile_dpbf16ps(1, 6, 7);
    _tile_loadd(7, values + 4 * PAGE, row);
    _tile_dpbf16ps(2, 6, 7);
    _tile_loadd(7, values + 6 * PAGE, row);
    _tile_dpbf16ps(3, 6, 7);
}

// As `attend`, for `width` queries on one head, in sets of 16: queries [sets][16][dim], scores [sets][pages][16][16], sums
// [sets][dim / 16][16][16]. `last`: room for a page's values, of which those that nobody sees are 0.
void attend_tiles(const bfloat16* queries, int64_t width, const int64_t* counts, const bfloat16* keys,
                  const bfloat16* values, const int32_t* table, int64_t dim, int64_t page, float scale, Lanes* scores,
                  Lanes* sums, float* shares, bfloat16* last) {
    const int64_t count = *std::max_element(counts, counts + width), pages = (count + PAGE - 1) / PAGE;
    const int64_t whole = count / PAGE, seen = (count % PAGE + 1) / 2 * 2 * dim, sets = (width + TILE - 1) / TILE;
    std::copy_n(values + table[pages - 1] * page, seen, last);
    std::fill(last + seen, last + dim * PAGE, bfloat16{});
    const auto ask_all = [&](const bfloat16* from) { for (int64_t i = 0; i < dim * PAGE; i += 2 * PAGE) ask(from + i); };
    const Tiles tiles;
    written();
    for (int64_t p = 0; p < pages; p++) {
        ask_all(values + table[p] * page);
        if (p + 1 < pages) ask_all(keys + table[p + 1] * page);
        for (int64_t set = 0; set < sets; set++)
            score_tile(queries + set * TILE * dim, keys + table[p] * page, dim, scores + (set * pages + p) * TILE);
    }
    written();
    for (int64_t set = 0; set < sets; set++) {
        const int used = static_cast<int>(std::min<int64_t>(TILE, width - set * TILE));
        softmax<bfloat16, TILE>(scores + set * pages * TILE, used, counts + set * TILE, pages, scale,
                                shares + set * TILE);
    }
    written();
    for (int64_t set = 0; set < sets; set++)
        for (int64_t i = 0; i < dim; i += TILED_DIM, sums += TILED_DIM / PAGE * TILE) {
            const bfloat16* weights = reinterpret_cast<const bfloat16*>(scores + set * pages * TILE);
            zero_tiles();
            for (int64_t p = 0; p < pages; p++, weights += TILE * PAGE) {
                const bfloat16* const here = p < whole ? values + table[p] * page : last;
                weigh_tiles(weights, here + 2 * i, dim);
            }
            _tile_stored(0, sums, sizeof *sums);
            _tile_stored(1, sums + TILE, sizeof *sums);
            _tile_stored(2, sums + 2 * TILE, sizeof *sums);
            _tile_stored(3, sums + 3 * TILE, sizeof *sums);
        }
    written();
}

#else

template <typename... GIVEN>
void attend_tiles(GIVEN...);  // nobody calls it

#endif

}  // namespace
