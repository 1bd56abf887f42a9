/* SHA-512 with AVX-512: eight messages at once, a word of each in one register. */

#include "digest/digest.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 8 };

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* Truth tables for _mm512_ternarylogic_epi64. */
enum { XOR3 = 0x96, CHOOSE = 0xca, MAJORITY = 0xe8 };

INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, XOR3);
}

INLINE __m512i add(__m512i a, __m512i b)
{
    return _mm512_add_epi64(a, b);
}

INLINE __m512i sub(__m512i a, __m512i b)
{
    return _mm512_sub_epi64(a, b);
}

/* Keeps a sum as it was written. Compilers would regroup the terms, and a round takes as long as its longest chain. So
 * terms that a round knows from the start are added first, and those that it has to compute last. */
INLINE __m512i fixed(__m512i sum)
{
    __asm__("" : "+v"(sum));
    return sum;
}

/* Rows to columns: word j of row i becomes word i of row j. */
INLINE void transpose(__m512i rows[8])
{
    __m512i half[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        half[i] = _mm512_unpacklo_epi64(rows[i], rows[i + 1]);
        half[i + 1] = _mm512_unpackhi_epi64(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
#pragma GCC unroll 2
        for (int j = i; j < i + 2; j++) {
            rows[j] = _mm512_shuffle_i64x2(half[j], half[j + 2], 0x88);
            rows[j + 2] = _mm512_shuffle_i64x2(half[j], half[j + 2], 0xdd);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        half[i] = _mm512_shuffle_i64x2(rows[i], rows[i + 4], 0x88);
        half[i + 4] = _mm512_shuffle_i64x2(rows[i], rows[i + 4], 0xdd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        rows[i] = half[i];
}

/* Half of a block of every message, as eight words of the schedule. */
INLINE void load(__m512i words[8], const uint8_t *const *data, size_t offset)
{
    const __m512i byte_order = _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
#pragma GCC unroll 8
    for (int lane = 0; lane < LANES; lane++)
        words[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[lane] + offset), byte_order);
    transpose(words);
}

/* The next word of the message schedule, in place of the one sixteen before it. */
INLINE __m512i schedule(const __m512i w[16], int t)
{
    __m512i far = w[(t + 1) & 15];
    __m512i near = w[(t + 14) & 15];
    __m512i s0 = xor3(_mm512_ror_epi64(far, 1), _mm512_ror_epi64(far, 8), _mm512_srli_epi64(far, 7));
    __m512i s1 = xor3(_mm512_ror_epi64(near, 19), _mm512_ror_epi64(near, 61), _mm512_srli_epi64(near, 6));
    return add(add(w[t & 15], s0), add(w[(t + 9) & 15], s1));
}

TARGET static void compress(union ocigc_state *states, const uint8_t *const *data, size_t blocks)
{
    __m512i state[8];
    for (int lane = 0; lane < LANES; lane++)
        state[lane] = _mm512_loadu_si512(&states[lane]);
    transpose(state);

    for (size_t block = 0; block < blocks; block++) {
        __m512i w[16];
        load(w, data, block * 128);
        load(w + 8, data, block * 128 + 64);
        __m512i a = state[0], b = state[1], c = state[2], d = state[3];
        __m512i e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 80
        for (int t = 0; t < 80; t++) {
            if (t >= 16)
                w[t & 15] = schedule(w, t);
            __m512i constant = _mm512_set1_epi64((long long)ocigc_sha512_constants[t]);
            __m512i s1 = xor3(_mm512_ror_epi64(e, 14), _mm512_ror_epi64(e, 18), _mm512_ror_epi64(e, 41));
            __m512i chosen = _mm512_ternarylogic_epi64(e, f, g, CHOOSE);
            __m512i s0 = xor3(_mm512_ror_epi64(a, 28), _mm512_ror_epi64(a, 34), _mm512_ror_epi64(a, 39));
            __m512i majority = _mm512_ternarylogic_epi64(a, b, c, MAJORITY);
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

    transpose(state);
    for (int lane = 0; lane < LANES; lane++)
        _mm512_storeu_si512(&states[lane], state[lane]);
}

const struct ocigc_kernel ocigc_sha512_avx512 = {"avx512", OCIGC_SHA512, LANES, 1, has_avx512, compress};

#else

typedef int ocigc_no_sha512_avx512; /* ISO C wants something in every file */

#endif
