/* sort.h - sorts entries by their binary keys, in place. */
#ifndef OCIGC_STORE_SORT_H
#define OCIGC_STORE_SORT_H

#include <stddef.h>
#include <stdint.h>

enum { OCIGC_STRIDE_MAX = 112 };

/* Sorts `count` entries of `stride` bytes, each of which begins with a key of `width` bytes. A radix sort from the
 * first byte on (McIlroy, Bostic, McIlroy: "Engineering Radix Sort", 1993): in place, and at most `width` passes for
 * any keys. After the first pass, `threads` threads sort the ranges of one first byte each. */
void ocigc_sort_entries(uint8_t *entries, uint32_t count, uint32_t stride, uint32_t width, uint32_t threads);

#endif
