/* xxh3.h - XXH3-128 in pieces: detects bit rot at the speed of memory, but not forgery. */
#ifndef OCIGC_DIGEST_XXH3_H
#define OCIGC_DIGEST_XXH3_H

#include "base/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct ocigc_xxh3 {
    XXH3_state_t state;
};

static inline void ocigc_xxh3_start(struct ocigc_xxh3 *xxh3)
{
    XXH3_128bits_reset(&xxh3->state);
}

static inline void ocigc_xxh3_update(struct ocigc_xxh3 *xxh3, const void *bytes, size_t length)
{
    XXH3_128bits_update(&xxh3->state, bytes, length);
}

static inline struct ocigc_checksum ocigc_xxh3_finish(const struct ocigc_xxh3 *xxh3)
{
    XXH128_hash_t hash = XXH3_128bits_digest(&xxh3->state);
    return (struct ocigc_checksum){hash.low64, hash.high64};
}

static inline struct ocigc_checksum ocigc_xxh3(const void *bytes, size_t length)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, length);
    return (struct ocigc_checksum){hash.low64, hash.high64};
}

#endif
