/* The start, the padding and the end of a message (FIPS 180-4, 5.1, 5.3 and 6). */

#include "digest/digest.h"

#include <string.h>

uint32_t ocigc_block_size(int32_t algorithm)
{
    return algorithm == OCIGC_SHA512 ? 128 : 64;
}

void ocigc_state_start(int32_t algorithm, union ocigc_state *state)
{
    static const union ocigc_state sha256 = {
        .words32 = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
    static const union ocigc_state sha512 = {.words64 = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                                         0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                                         0x1f83d9abfb41bd6b, 0x5be0cd19137e2179}};
    *state = algorithm == OCIGC_SHA512 ? sha512 : sha256;
}

size_t ocigc_pad(int32_t algorithm, uint64_t total, uint8_t *end)
{
    size_t block = ocigc_block_size(algorithm);
    size_t length_field = block / 8;
    size_t used = total % block;
    size_t padding = (used + 1 + length_field <= block ? block : 2 * block) - used;
    memset(end, 0, padding);
    end[0] = 0x80;
    /* The length in bits, big-endian. Files need at most 67 of the 128 bits of SHA-512. */
    uint64_t low = total << 3;
    for (size_t i = 0; i < 8; i++)
        end[padding - 1 - i] = (uint8_t)(low >> (8 * i));
    if (length_field > 8)
        end[padding - 9] = (uint8_t)(total >> 61);
    return padding;
}

void ocigc_state_finish(int32_t algorithm, const union ocigc_state *state, uint8_t *out)
{
    if (algorithm == OCIGC_SHA512) {
        for (size_t i = 0; i < 64; i++)
            out[i] = (uint8_t)(state->words64[i / 8] >> (56 - 8 * (i % 8)));
        return;
    }
    for (size_t i = 0; i < 32; i++)
        out[i] = (uint8_t)(state->words32[i / 4] >> (24 - 8 * (i % 4)));
}
