/* vector.h - room at the end of an array. */
#ifndef OCIGC_BASE_VECTOR_H
#define OCIGC_BASE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes room for `more` elements of `stride` bytes after the `count` elements of *array (a pointer to any type); grows
 * it by at least half. realloc moves the pages of large arrays, not their bytes. Returns false, and changes nothing, if
 * memory runs out or the array would have more than UINT32_MAX elements. */
bool ocigc_reserve(void *array, uint32_t *capacity, uint32_t count, uint32_t more, size_t stride);

#endif
