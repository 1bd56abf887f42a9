#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

bool ocigc_reserve(void *array, uint32_t *capacity, uint32_t count, uint32_t more, size_t stride)
{
    if (more <= *capacity - count)
        return true;
    uint64_t needed = (uint64_t)count + more;
    uint64_t grown = (uint64_t)*capacity + *capacity / 2 + 64;
    if (grown < needed)
        grown = needed;
    if (grown > UINT32_MAX)
        grown = UINT32_MAX;
    if (grown < needed)
        return false;
    void *old;
    memcpy(&old, array, sizeof old); /* a pointer to any type, copied as bytes: void ** would violate aliasing */
    void *new = realloc(old, grown * stride);
    if (new == NULL)
        return false;
    memcpy(array, &new, sizeof new);
    *capacity = (uint32_t)grown;
    return true;
}
