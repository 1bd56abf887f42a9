/* vector.h - room at the end of an array. */
#ifndef OCIGC_COMMON_VECTOR_H
#define OCIGC_COMMON_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes room for `more` elements of `stride` bytes behind the `count` that *array (a pointer to any type) holds,
 * growing it by half at least. Large arrays grow by moving pages, not bytes: realloc sees to that. false: no memory, or
 * the array would have more than UINT32_MAX elements; nothing has changed then. */
bool ocigc_reserve(void *array, uint32_t *capacity, uint32_t count, uint32_t more, size_t stride);

#endif
