#include "store/sort.h"

#include "store/parallel.h"

#include <stdbool.h>
#include <string.h>

enum {
    FEW = 24,          /* entries; insertion sort is faster for so few */
    MANY = 64 << 10,   /* entries that are worth a thread */
    USUAL_STRIDE = 32, /* a sha256 digest alone: if the compiler knows it, an entry moves in one or two instructions */
};

static inline void move(uint8_t *to, const uint8_t *from, uint32_t stride)
{
    if (stride == USUAL_STRIDE)
        memcpy(to, from, USUAL_STRIDE);
    else
        memcpy(to, from, stride);
}

/* Whether `left` sorts after `right`; they are equal up to `depth`. */
static inline bool is_behind(const uint8_t *left, const uint8_t *right, uint32_t width, uint32_t depth)
{
    return left[depth] != right[depth] ? left[depth] > right[depth]
                                       : memcmp(left + depth, right + depth, width - depth) > 0;
}

static void insertion_sort(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t depth)
{
    uint8_t moving[OCIGC_STRIDE_MAX];
    for (uint32_t i = 1; i < count; i++) {
        uint8_t *end = entries + (size_t)i * stride;
        if (!is_behind(end - stride, end, width, depth))
            continue;
        uint32_t place = i;
        move(moving, end, stride);
        do {
            uint8_t *hole = entries + (size_t)place * stride;
            move(hole, hole - stride, stride);
            place--;
        } while (place > 0 && is_behind(entries + (size_t)(place - 1) * stride, moving, width, depth));
        move(entries + (size_t)place * stride, moving, stride);
    }
}

/* Moves every entry into the range of its key's byte at `depth`, along cycles of displaced entries. */
static void permute(uint8_t *entries, uint32_t stride, uint32_t depth, uint32_t *next, const uint32_t *ends)
{
    uint8_t moving[OCIGC_STRIDE_MAX], displaced[OCIGC_STRIDE_MAX];
    for (uint32_t byte = 0; byte < 256; byte++) {
        while (next[byte] < ends[byte]) {
            uint8_t *hole = entries + (size_t)next[byte] * stride;
            if (hole[depth] == byte) {
                next[byte]++;
                continue;
            }
            move(moving, hole, stride);
            do {
                uint8_t *place = entries + (size_t)next[moving[depth]]++ * stride;
                move(displaced, place, stride);
                move(place, moving, stride);
                move(moving, displaced, stride);
            } while (moving[depth] != byte);
            move(hole, moving, stride);
            next[byte]++;
        }
    }
}

/* Orders the entries by their keys' byte at `depth`; those with a byte end at `ends[byte]`. */
static void partition(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t depth, uint32_t *ends)
{
    uint32_t next[256];
    memset(ends, 0, 256 * sizeof *ends);
    for (uint32_t i = 0; i < count; i++)
        ends[entries[(size_t)i * stride + depth]]++;
    for (uint32_t byte = 0, sum = 0; byte < 256; byte++) {
        next[byte] = sum;
        sum += ends[byte];
        ends[byte] = sum;
    }
    permute(entries, stride, depth, next, ends);
}

/* The recursion is at most as deep as a key is wide. */
static void radix_sort(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t depth)
{
    if (depth == width)
        return;
    if (count <= FEW) {
        insertion_sort(entries, count, stride, width, depth);
        return;
    }
    uint32_t ends[256];
    partition(entries, count, stride, depth, ends);
    for (uint32_t byte = 0, start = 0; byte < 256; start = ends[byte++])
        if (ends[byte] - start > 1)
            radix_sort(entries + (size_t)start * stride, ends[byte] - start, stride, width, depth + 1);
}

/* Entries ordered by their first byte. */
struct ranges {
    uint8_t *entries;
    uint32_t stride;
    uint32_t width;
    uint32_t ends[256];
    uint32_t next;
};

static void sort_ranges(void *context)
{
    struct ranges *ranges = context;
    uint32_t byte;
    while ((byte = __atomic_fetch_add(&ranges->next, 1, __ATOMIC_RELAXED)) < 256) {
        uint32_t start = byte > 0 ? ranges->ends[byte - 1] : 0;
        radix_sort(ranges->entries + (size_t)start * ranges->stride, ranges->ends[byte] - start, ranges->stride,
                   ranges->width, 1);
    }
}

void ocigc_sort_entries(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t threads)
{
    struct ranges ranges = {.entries = entries, .stride = stride, .width = width};
    partition(entries, count, stride, 0, ranges.ends);
    ocigc_parallel(count > MANY ? threads : 1, sort_ranges, &ranges);
}
