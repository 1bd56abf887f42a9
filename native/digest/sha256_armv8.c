/* SHA-256 with the cryptographic extension of ARMv8. One stream is bound by the latency of sha256h; two in one loop
 * hide it. */

#include "digest/digest.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <sys/auxv.h>

#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1ul << 6)
#endif

#define TARGET __attribute__((target("+crypto")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static bool has_sha2(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}

/* `lanes` is a constant wherever this is inlined, so all loops over lanes and groups unroll. */
INLINE void compress_lanes(union ocigc_state *states, const uint8_t *const *data, size_t blocks, const int lanes)
{
    uint32x4_t abcd[2], efgh[2];
#pragma GCC unroll 2
    for (int lane = 0; lane < lanes; lane++) {
        abcd[lane] = vld1q_u32(&states[lane].words32[0]);
        efgh[lane] = vld1q_u32(&states[lane].words32[4]);
    }

    for (size_t block = 0; block < blocks; block++) {
        uint32x4_t message[2][4], abcd_before[2], efgh_before[2];
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            abcd_before[lane] = abcd[lane];
            efgh_before[lane] = efgh[lane];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                uint8x16_t bytes = vld1q_u8(data[lane] + block * 64 + 16 * i);
                message[lane][i] = vreinterpretq_u32_u8(vrev32q_u8(bytes));
            }
        }
#pragma GCC unroll 16
        for (int group = 0; group < 16; group++) {
            const uint32x4_t constants = vld1q_u32(&ocigc_sha256_constants[4 * group]);
            const int now = group & 3;
#pragma GCC unroll 2
            for (int lane = 0; lane < lanes; lane++) {
                uint32x4_t *w = message[lane];
                uint32x4_t words = vaddq_u32(w[now], constants);
                uint32x4_t abcd_old = abcd[lane];
                abcd[lane] = vsha256hq_u32(abcd[lane], efgh[lane], words);
                efgh[lane] = vsha256h2q_u32(efgh[lane], abcd_old, words);
                if (group < 12)
                    w[now] =
                        vsha256su1q_u32(vsha256su0q_u32(w[now], w[(now + 1) & 3]), w[(now + 2) & 3], w[(now + 3) & 3]);
            }
        }
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            abcd[lane] = vaddq_u32(abcd[lane], abcd_before[lane]);
            efgh[lane] = vaddq_u32(efgh[lane], efgh_before[lane]);
        }
    }
#pragma GCC unroll 2
    for (int lane = 0; lane < lanes; lane++) {
        vst1q_u32(&states[lane].words32[0], abcd[lane]);
        vst1q_u32(&states[lane].words32[4], efgh[lane]);
    }
}

TARGET static void compress_one(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    compress_lanes(states, data, blocks, 1);
}

TARGET static void compress_two(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    compress_lanes(states, data, blocks, 2);
}

const struct ocigc_kernel ocigc_sha256_armv8 = {"armv8", OCIGC_SHA256, 1, 0, has_sha2, compress_one};
const struct ocigc_kernel ocigc_sha256_armv8_x2 = {"armv8-x2", OCIGC_SHA256, 2, 1, has_sha2, compress_two};

#else

typedef int ocigc_no_armv8; /* ISO C wants something in every file */

#endif
