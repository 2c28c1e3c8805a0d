// Rotation, the KV cache, attention.
//
// The cache of a layer, for a page of 16 tokens and a head:
//
//     keys    [dim][16]    one load brings a coordinate of 16 tokens, so 16 scores grow side by side, without a sum
//                          across lanes
//     values  [16][dim]

#include <array>
#include <utility>
#include <vector>

#include "lanes.h"

namespace {

constexpr int PAGE = LANES;

struct Heads {
    int64_t query, kv, dim;
    int64_t width() const { return (query + 2 * kv) * dim; }
    int64_t page() const { return kv * dim * PAGE; }  // elements of a page, of keys or of values
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

// The scores of WIDTH query heads with a page's tokens. WIDTH is fixed so that the sums stay in registers.
template <typename T, int WIDTH>
inline void score(const float* query, const T* keys, int64_t dim, float* scores, int64_t stride) {
    Lanes grown[WIDTH] = {};
    for (int64_t i = 0; i < dim; i++) {
        const Lanes row = lanes(keys + i * PAGE);
        for (int g = 0; g < WIDTH; g++) grown[g] += query[g * dim + i] * row;
    }
    for (int g = 0; g < WIDTH; g++) put(grown[g], scores + g * stride);
}

// Adds a page's `count` values, each by its weight, for WIDTH query heads; two registers of coordinates at a time.
template <typename T, int WIDTH>
inline void weigh(const float* weights, int64_t stride, const T* values, int64_t count, int64_t dim, float* sums) {
    for (int64_t i = 0; i < dim; i += 2 * PAGE) {
        Lanes low[WIDTH], high[WIDTH];
        for (int g = 0; g < WIDTH; g++) low[g] = lanes(sums + g * dim + i), high[g] = lanes(sums + g * dim + i + PAGE);
        for (int64_t j = 0; j < count; j++) {
            const Lanes first = lanes(values + j * dim + i), second = lanes(values + j * dim + i + PAGE);
            for (int g = 0; g < WIDTH; g++) {
                low[g] += weights[g * stride + j] * first;
                high[g] += weights[g * stride + j] * second;
            }
        }
        for (int g = 0; g < WIDTH; g++) put(low[g], sums + g * dim + i), put(high[g], sums + g * dim + i + PAGE);
    }
}

// Of the first `count` scores; the rest, up to `room`, a multiple of 16, become 0.
inline void softmax(float* scores, int64_t count, int64_t room) {
    std::fill(scores + count, scores + room, -INFINITY);
    Lanes most = lanes(scores), total = {};
    for (int64_t j = PAGE; j < room; j += PAGE) {
        const Lanes each = lanes(scores + j);
        most = each > most ? each : most;
    }
    const float top = highest(most);
    for (int64_t j = 0; j < room; j += PAGE) {
        const Lanes each = exponential(lanes(scores + j) - top);
        put(each, scores + j);
        total += each;
    }
    const float share = 1.0f / sum(total);
    for (int64_t j = 0; j < room; j += PAGE) put(lanes(scores + j) * share, scores + j);
}

// Attention of WIDTH queries of one sequence that share a KV head; query g sees the first counts[g] tokens in its pages.
// `keys` and `values` point at that head in page 0. The results are left in `sums`.
template <typename T, int WIDTH>
void attend(const float* queries, const int64_t* counts, const T* keys, const T* values, const int32_t* table,
            const Heads& heads, float* scores, float* sums) {
    const int64_t count = *std::max_element(counts, counts + WIDTH);
    const int64_t pages = (count + PAGE - 1) / PAGE, stride = pages * PAGE;
    for (int64_t p = 0; p < pages; p++)
        score<T, WIDTH>(queries, keys + table[p] * heads.page(), heads.dim, scores + p * PAGE, stride);
    for (int g = 0; g < WIDTH; g++) softmax(scores + g * stride, counts[g], stride);
    std::fill_n(sums, WIDTH * heads.dim, 0.0f);
    for (int64_t p = 0; p < pages; p++)
        weigh<T, WIDTH>(scores + p * PAGE, stride, values + table[p] * heads.page(),
                        std::min<int64_t>(PAGE, count - p * PAGE), heads.dim, sums);
}

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

    void store(int64_t row, float* rotated) const {
        const int64_t slot = positions[row] % PAGE, page = table(row)[positions[row] / PAGE] * heads.page();
        for (int64_t head = 0; head < heads.kv; head++) {
            turned(row, heads.query + head, rotated);
            T* key = keys + page + head * heads.dim * PAGE + slot;
            T narrow[PAGE];
            for (int64_t i = 0; i < heads.dim; i += PAGE) {
                put(lanes(rotated + i), narrow);
                for (int64_t j = 0; j < PAGE; j++) key[(i + j) * PAGE] = narrow[j];
            }
            const T* value = qkv + row * heads.width() + (heads.query + heads.kv + head) * heads.dim;
            std::copy_n(value, heads.dim, values + page + (head * PAGE + slot) * heads.dim);
        }
    }

    // The query heads [first, first + count) of a block's rows, all of one KV head.
    void attend_block(const Block& block, int64_t first, int64_t count, float* queries, float* scores, float* sums) const {
        static const auto by_width = attend_by_width<T>(std::make_index_sequence<WIDEST>());
        const int64_t width = block.rows * count, at = first / (heads.query / heads.kv) * heads.dim * PAGE;
        int64_t counts[WIDEST];
        for (int64_t each = 0; each < width; each++) {
            const int64_t row = block.row + each / count;
            counts[each] = positions[row] + 1;
            turned(row, first + each % count, queries + each * heads.dim);
        }
        for (int64_t i = 0; i < width * heads.dim; i++) queries[i] *= scale;
        by_width[width - 1](queries, counts, keys + at, values + at, table(block.row), heads, scores, sums);
        for (int64_t each = 0; each < width; each++) {
            T* to = out + ((block.row + each / count) * heads.query + first + each % count) * heads.dim;
            for (int64_t i = 0; i < heads.dim; i += PAGE) put(lanes(sums + each * heads.dim + i), to + i);
        }
    }

    void run(int64_t rows) const {
        const int64_t group = heads.query / heads.kv, together = std::min<int64_t>(group, WIDEST);
        const std::vector<Block> blocks = blocks_of(sequences, rows, WIDEST / together);
        const int64_t room = (*std::max_element(positions, positions + rows) / PAGE + 1) * PAGE;
        const int64_t tasks = static_cast<int64_t>(blocks.size()) * heads.kv;
#pragma omp parallel
        {
            std::vector<float> queries(WIDEST * heads.dim), sums(WIDEST * heads.dim), scores(WIDEST * room);
#pragma omp for
            for (int64_t row = 0; row < rows; row++) store(row, queries.data());
#pragma omp for schedule(dynamic, 1)
            for (int64_t task = 0; task < tasks; task++) {
                const int64_t head = task % heads.kv;
                for (int64_t g = head * group; g < (head + 1) * group; g += together)
                    attend_block(blocks[task / heads.kv], g, std::min(together, (head + 1) * group - g), queries.data(),
                                 scores.data(), sums.data());
            }
        }
    }
};

}  // namespace

#define EXPORTED(T, NAME)                                                                                              \
    extern "C" void attend_##NAME(const T* qkv, const float* cosines, const float* sines, const int32_t* tables,       \
                                  int64_t table_width, const int32_t* sequences, const int32_t* positions, T* keys,    \
                                  T* values, T* out, int64_t rows, int64_t query_heads, int64_t kv_heads, int64_t dim, \
                                  float scale) {                                                                       \
        Attention<T>{qkv,       cosines, sines,  tables, table_width, sequences,                                       \
                     positions, keys,    values, out,    Heads{query_heads, kv_heads, dim}, scale}                      \
            .run(rows);                                                                                                \
    }

EXPORTED(float, float32)
EXPORTED(bfloat16, bfloat16)
