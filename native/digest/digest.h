/* digest.h - what the hash functions share. A kernel compresses whole blocks of one or more independent messages;
 * padding, dispatch and the schedule of lanes are common to all. */
#ifndef OCIGC_DIGEST_DIGEST_H
#define OCIGC_DIGEST_DIGEST_H

#include "base/base.h"

#include <stdbool.h>

#define OCIGC_LANES_MAX   16u
#define OCIGC_BLOCK_MAX   128u
#define OCIGC_PADDING_MAX (2 * OCIGC_BLOCK_MAX)

union ocigc_state {
    uint32_t words32[8]; /* SHA-256 */
    uint64_t words64[8]; /* SHA-512 */
};

/* One implementation of one algorithm. `compress` feeds `blocks` blocks to each of its `lanes` states. It takes as long
 * for one message as for all, so up to `sparse` messages, narrower kernels are faster. */
struct ocigc_kernel {
    const char *name;
    int32_t algorithm;
    uint32_t lanes;
    uint32_t sparse;
    bool (*supported)(void);
    void (*compress)(union ocigc_state *states, const uint8_t *const *data, size_t blocks);
};

/* The kernels of an algorithm by the number of messages: many, the few left when most have ended, and a single one. All
 * NULL if the core cannot compute the algorithm. `name` NULL means the best on this machine, or the environment's
 * choice. */
struct ocigc_kernels {
    const struct ocigc_kernel *many;
    const struct ocigc_kernel *few;
    const struct ocigc_kernel *single;
};
struct ocigc_kernels ocigc_kernels_of(int32_t algorithm, const char *name);

uint32_t ocigc_block_size(int32_t algorithm);
void ocigc_state_start(int32_t algorithm, union ocigc_state *state);
/* Pads a message of `total` bytes, whose last total % block bytes are right before `end`. Returns how many bytes it
 * wrote, at most OCIGC_PADDING_MAX. */
size_t ocigc_pad(int32_t algorithm, uint64_t total, uint8_t *end);
/* The digest: ocigc_algorithm_width bytes. */
void ocigc_state_finish(int32_t algorithm, const union ocigc_state *state, uint8_t *out);

/* A lane of a schedule: a message in progress. `data` holds `blocks` whole blocks. */
struct ocigc_lane {
    union ocigc_state state;
    const uint8_t *data;
    size_t blocks;
};

/* Compresses as many blocks of every active lane as the lane with the fewest blocks has. At least one lane is active,
 * and none of them is empty. */
void ocigc_lanes_advance(const struct ocigc_kernels *kernels, struct ocigc_lane *const *active, uint32_t count);

extern const uint32_t ocigc_sha256_constants[64];
extern const uint64_t ocigc_sha512_constants[80];
extern const struct ocigc_kernel ocigc_sha256_portable;
extern const struct ocigc_kernel ocigc_sha512_portable;
#if defined(__x86_64__)
extern const struct ocigc_kernel ocigc_sha256_avx512;
extern const struct ocigc_kernel ocigc_sha256_shani;
extern const struct ocigc_kernel ocigc_sha256_shani_x4;
extern const struct ocigc_kernel ocigc_sha256_avx2;
extern const struct ocigc_kernel ocigc_sha512_avx512;
#elif defined(__aarch64__)
extern const struct ocigc_kernel ocigc_sha256_armv8;
extern const struct ocigc_kernel ocigc_sha256_armv8_x2;
#endif

#endif
