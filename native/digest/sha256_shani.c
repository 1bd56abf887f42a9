/* SHA-256 with the SHA extensions of x86. One stream is bound by the latency of sha256rnds2; four streams in one loop
 * hide it, so blobs are hashed four at a time where there are as many. */

#include "digest/digest.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE static inline __attribute__((always_inline)) TARGET

static bool has_sha(void)
{
    unsigned int a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) && __builtin_cpu_supports("sse4.1");
}

/* The instructions want the state as ABEF and CDGH. */
INLINE void load_state(const uint32_t state[8], __m128i *abef, __m128i *cdgh)
{
    __m128i dcba = _mm_loadu_si128((const __m128i *)&state[0]);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)&state[4]);
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
    __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    *abef = _mm_alignr_epi8(cdab, efgh, 8);
    *cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

INLINE void store_state(uint32_t state[8], __m128i abef, __m128i cdgh)
{
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)&state[0], _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

/* `lanes` is a constant wherever this is inlined, so all loops over lanes and groups unroll. */
INLINE void compress_lanes(union ocigc_state *states, const uint8_t *const *data, size_t blocks, const int lanes)
{
    const __m128i byte_order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[4], cdgh[4];
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++)
        load_state(states[lane].words32, &abef[lane], &cdgh[lane]);

    for (size_t block = 0; block < blocks; block++) {
        __m128i message[4][4], abef_before[4], cdgh_before[4];
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            abef_before[lane] = abef[lane];
            cdgh_before[lane] = cdgh[lane];
        }
#pragma GCC unroll 16
        for (int group = 0; group < 16; group++) {
            const __m128i constants = _mm_load_si128((const __m128i *)&ocigc_sha256_constants[4 * group]);
            const int now = group & 3, next = (group + 1) & 3, last = (group + 3) & 3;
            __m128i words[4];
#pragma GCC unroll 4
            for (int lane = 0; lane < lanes; lane++) {
                if (group < 4) {
                    const uint8_t *bytes = data[lane] + block * 64 + 16 * group;
                    message[lane][now] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)bytes), byte_order);
                }
                words[lane] = _mm_add_epi32(message[lane][now], constants);
                cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], words[lane]);
            }
#pragma GCC unroll 4
            for (int lane = 0; lane < lanes; lane++) {
                if (group >= 3 && group < 15) {
                    __m128i shifted = _mm_alignr_epi8(message[lane][now], message[lane][last], 4);
                    __m128i sum = _mm_add_epi32(message[lane][next], shifted);
                    message[lane][next] = _mm_sha256msg2_epu32(sum, message[lane][now]);
                }
                words[lane] = _mm_shuffle_epi32(words[lane], 0x0e);
                abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], words[lane]);
                if (group >= 1 && group < 13)
                    message[lane][last] = _mm_sha256msg1_epu32(message[lane][last], message[lane][now]);
            }
        }
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            abef[lane] = _mm_add_epi32(abef[lane], abef_before[lane]);
            cdgh[lane] = _mm_add_epi32(cdgh[lane], cdgh_before[lane]);
        }
    }
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++)
        store_state(states[lane].words32, abef[lane], cdgh[lane]);
}

TARGET static void compress_one(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    compress_lanes(states, data, blocks, 1);
}

TARGET static void compress_four(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    compress_lanes(states, data, blocks, 4);
}

const struct ocigc_kernel ocigc_sha256_shani = {"shani", OCIGC_SHA256, 1, 0, has_sha, compress_one};
const struct ocigc_kernel ocigc_sha256_shani_x4 = {"shani-x4", OCIGC_SHA256, 4, 2, has_sha, compress_four};

#else

typedef int ocigc_no_sha_extensions; /* ISO C wants something in every file */

#endif
