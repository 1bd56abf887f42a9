/* SHA-256 with AVX2: eight messages at once, a word of each in one register; for CPUs without SHA extensions. */

#include "digest/digest.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 8 };

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

INLINE __m256i add(__m256i a, __m256i b)
{
    return _mm256_add_epi32(a, b);
}

INLINE __m256i xor2(__m256i a, __m256i b)
{
    return _mm256_xor_si256(a, b);
}

INLINE __m256i rotate(__m256i x, int n)
{
    return _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - n));
}

/* Rows to columns: word j of row i becomes word i of row j. */
INLINE void transpose(__m256i rows[8])
{
    __m256i half[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        half[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        half[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        rows[i] = _mm256_unpacklo_epi64(half[i], half[i + 2]);
        rows[i + 1] = _mm256_unpackhi_epi64(half[i], half[i + 2]);
        rows[i + 2] = _mm256_unpacklo_epi64(half[i + 1], half[i + 3]);
        rows[i + 3] = _mm256_unpackhi_epi64(half[i + 1], half[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        half[i] = _mm256_permute2x128_si256(rows[i], rows[i + 4], 0x20);
        half[i + 4] = _mm256_permute2x128_si256(rows[i], rows[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        rows[i] = half[i];
}

/* Half of a block of every message, as eight words of the schedule. */
INLINE void load(__m256i words[8], const uint8_t *const *data, size_t offset)
{
    const __m256i byte_order = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
#pragma GCC unroll 8
    for (int lane = 0; lane < LANES; lane++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(data[lane] + offset));
        words[lane] = _mm256_shuffle_epi8(bytes, byte_order);
    }
    transpose(words);
}

/* The next word of the message schedule, in place of the one sixteen before it. */
INLINE __m256i schedule(const __m256i w[16], int t)
{
    __m256i far = w[(t + 1) & 15];
    __m256i near = w[(t + 14) & 15];
    __m256i s0 = xor2(xor2(rotate(far, 7), rotate(far, 18)), _mm256_srli_epi32(far, 3));
    __m256i s1 = xor2(xor2(rotate(near, 17), rotate(near, 19)), _mm256_srli_epi32(near, 10));
    return add(add(w[t & 15], s0), add(w[(t + 9) & 15], s1));
}

TARGET static void compress(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    __m256i state[8];
    for (int lane = 0; lane < LANES; lane++)
        state[lane] = _mm256_loadu_si256((const __m256i *)states[lane].words32);
    transpose(state);

    for (size_t block = 0; block < blocks; block++) {
        __m256i w[16];
        load(w, data, block * 64);
        load(w + 8, data, block * 64 + 32);
        __m256i a = state[0], b = state[1], c = state[2], d = state[3];
        __m256i e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
        for (int t = 0; t < 64; t++) {
            if (t >= 16)
                w[t & 15] = schedule(w, t);
            __m256i constant = _mm256_set1_epi32((int)ocigc_sha256_constants[t]);
            __m256i s1 = xor2(xor2(rotate(e, 6), rotate(e, 11)), rotate(e, 25));
            __m256i chosen = xor2(g, _mm256_and_si256(e, xor2(f, g)));
            __m256i t1 = add(add(h, add(w[t & 15], constant)), add(s1, chosen));
            __m256i s0 = xor2(xor2(rotate(a, 2), rotate(a, 13)), rotate(a, 22));
            __m256i majority = xor2(b, _mm256_and_si256(xor2(a, b), xor2(b, c)));
            h = g;
            g = f;
            f = e;
            e = add(d, t1);
            d = c;
            c = b;
            b = a;
            a = add(t1, add(s0, majority));
        }
        state[0] = add(state[0], a);
        state[1] = add(state[1], b);
        state[2] = add(state[2], c);
        state[3] = add(state[3], d);
        state[4] = add(state[4], e);
        state[5] = add(state[5], f);
        state[6] = add(state[6], g);
        state[7] = add(state[7], h);
    }

    transpose(state);
    for (int lane = 0; lane < LANES; lane++)
        _mm256_storeu_si256((__m256i *)states[lane].words32, state[lane]);
}

const struct ocigc_kernel ocigc_sha256_avx2 = {"avx2", OCIGC_SHA256, LANES, 1, has_avx2, compress};

#else

typedef int ocigc_no_avx2; /* ISO C wants something in every file */

#endif
