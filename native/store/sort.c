#include "store/sort.h"

#include <string.h>

enum { FEW = 24 }; /* entries that insertion sorts faster */

static void insertion_sort(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t depth)
{
    uint8_t moving[OCIGC_STRIDE_MAX];
    for (uint32_t i = 1; i < count; i++) {
        uint8_t *end = entries + (size_t)i * stride;
        uint8_t *place = end;
        while (place > entries && memcmp(place - stride + depth, end + depth, width - depth) > 0)
            place -= stride;
        if (place == end)
            continue;
        memcpy(moving, end, stride);
        memmove(place + stride, place, (size_t)(end - place));
        memcpy(place, moving, stride);
    }
}

/* Moves every entry into the range of the byte at `depth` of its key, along cycles of displaced entries. */
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
            memcpy(moving, hole, stride);
            do {
                uint8_t *place = entries + (size_t)next[moving[depth]]++ * stride;
                memcpy(displaced, place, stride);
                memcpy(place, moving, stride);
                memcpy(moving, displaced, stride);
            } while (moving[depth] != byte);
            memcpy(hole, moving, stride);
            next[byte]++;
        }
    }
}

/* Recursion goes as deep as a key is wide, no deeper. */
static void radix_sort(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t depth)
{
    if (depth == width)
        return;
    if (count <= FEW) {
        insertion_sort(entries, count, stride, width, depth);
        return;
    }
    uint32_t ends[256] = {0}, next[256];
    for (uint32_t i = 0; i < count; i++)
        ends[entries[(size_t)i * stride + depth]]++;
    for (uint32_t byte = 0, sum = 0; byte < 256; byte++) {
        next[byte] = sum;
        sum += ends[byte];
        ends[byte] = sum;
    }
    permute(entries, stride, depth, next, ends);
    for (uint32_t byte = 0, start = 0; byte < 256; start = ends[byte++])
        if (ends[byte] - start > 1)
            radix_sort(entries + (size_t)start * stride, ends[byte] - start, stride, width, depth + 1);
}

void ocigc_sort_entries(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width)
{
    radix_sort(entries, count, stride, width, 0);
}
