/* SHA-256 with AVX-512: sixteen messages at once, a word of each in one register. */

#include "digest/digest.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 16 };

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* Truth tables for _mm512_ternarylogic_epi32. */
enum { XOR3 = 0x96, CHOOSE = 0xca, MAJORITY = 0xe8 };

INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, XOR3);
}

INLINE __m512i add(__m512i a, __m512i b)
{
    return _mm512_add_epi32(a, b);
}

INLINE __m512i sub(__m512i a, __m512i b)
{
    return _mm512_sub_epi32(a, b);
}

/* Keeps a sum as it was written. Compilers would regroup the terms, and a round takes as long as its longest chain. So
 * terms that a round knows from the start are added first, and those that it has to compute last. */
INLINE __m512i fixed(__m512i sum)
{
    __asm__("" : "+v"(sum));
    return sum;
}

/* Rows to columns: word j of row i becomes word i of row j. */
INLINE void transpose(__m512i rows[16])
{
    __m512i half[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        half[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        half[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        rows[i] = _mm512_unpacklo_epi64(half[i], half[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(half[i], half[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(half[i + 1], half[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(half[i + 1], half[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        half[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
        half[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
        half[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
        half[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm512_shuffle_i32x4(half[i], half[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(half[i], half[i + 8], 0xdd);
        rows[i + 4] = _mm512_shuffle_i32x4(half[i + 4], half[i + 12], 0x88);
        rows[i + 12] = _mm512_shuffle_i32x4(half[i + 4], half[i + 12], 0xdd);
    }
}

/* The next word of the message schedule, in place of the one sixteen before it. */
INLINE __m512i schedule(const __m512i w[16], int t)
{
    __m512i far = w[(t + 1) & 15];
    __m512i near = w[(t + 14) & 15];
    __m512i s0 = xor3(_mm512_ror_epi32(far, 7), _mm512_ror_epi32(far, 18), _mm512_srli_epi32(far, 3));
    __m512i s1 = xor3(_mm512_ror_epi32(near, 17), _mm512_ror_epi32(near, 19), _mm512_srli_epi32(near, 10));
    return add(add(w[t & 15], s0), add(w[(t + 9) & 15], s1));
}

TARGET static void compress(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    const __m512i byte_order = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    __m512i rows[16], state[8];
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = _mm512_loadu_si512(&states[lane]);
    transpose(rows);
    for (int i = 0; i < 8; i++)
        state[i] = rows[i];

    for (size_t block = 0; block < blocks; block++) {
        __m512i w[16];
#pragma GCC unroll 16
        for (int lane = 0; lane < LANES; lane++)
            w[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[lane] + block * 64), byte_order);
        transpose(w);
        __m512i a = state[0], b = state[1], c = state[2], d = state[3];
        __m512i e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
        for (int t = 0; t < 64; t++) {
            if (t >= 16)
                w[t & 15] = schedule(w, t);
            __m512i constant = _mm512_set1_epi32((int)ocigc_sha256_constants[t]);
            __m512i s1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
            __m512i chosen = _mm512_ternarylogic_epi32(e, f, g, CHOOSE);
            __m512i s0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
            __m512i majority = _mm512_ternarylogic_epi32(a, b, c, MAJORITY);
            __m512i known = fixed(add(add(h, d), add(w[t & 15], constant)));
            __m512i next = fixed(add(add(known, chosen), s1));
            __m512i rest = fixed(sub(majority, d));
            h = g;
            g = f;
            f = e;
            e = next;
            d = c;
            c = b;
            b = a;
            a = add(add(next, rest), s0);
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

    for (int i = 0; i < 16; i++)
        rows[i] = i < 8 ? state[i] : _mm512_setzero_si512();
    transpose(rows);
    for (int lane = 0; lane < LANES; lane++)
        _mm256_storeu_si256((__m256i *)states[lane].words32, _mm512_castsi512_si256(rows[lane]));
}

const struct ocigc_kernel ocigc_sha256_avx512 = {"avx512", OCIGC_SHA256, LANES, 8, has_avx512, compress};

#else

typedef int ocigc_no_avx512; /* ISO C wants something in every file */

#endif
