/* The digest engine: any messages, on any kernel, in any pieces, come out as the portable code has them. */

#include "fuzz/fuzz.h"

enum { MESSAGES = 20 };

static void check(int32_t algorithm, const char *kernel, const uint8_t *data, size_t size)
{
    const uint8_t *messages[MESSAGES];
    size_t lengths[MESSAGES];
    uint8_t many[MESSAGES * 64], one[64];
    uint32_t width = ocigc_algorithm_width(algorithm);
    /* The first bytes say where the rest is cut into messages. */
    size_t rest = size - MESSAGES;
    for (size_t i = 0; i < MESSAGES; i++) {
        size_t start = rest == 0 ? 0 : data[i] * rest / 256;
        messages[i] = data + MESSAGES + start;
        lengths[i] = rest - start;
    }
    REQUIRE(ocigc_digest_many(algorithm, kernel, MESSAGES, messages, lengths, many, NULL) == OCIGC_OK);
    for (size_t i = 0; i < MESSAGES; i++) {
        REQUIRE(ocigc_digest_many(algorithm, "portable", 1, &messages[i], &lengths[i], one, NULL) == OCIGC_OK);
        REQUIRE(memcmp(one, many + i * width, width) == 0);
    }
    size_t pieces[] = {lengths[0] / 3, lengths[0] - lengths[0] / 3};
    REQUIRE(ocigc_digest_pieces(algorithm, kernel, messages[0], pieces, 2, one, NULL) == OCIGC_OK);
    REQUIRE(memcmp(one, many, width) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < MESSAGES)
        return 0;
    for (int32_t algorithm = OCIGC_SHA256; algorithm <= OCIGC_SHA512; algorithm++) {
        const char *kernel;
        for (uint32_t i = 0; (kernel = ocigc_digest_implementation(algorithm, i)) != NULL; i++)
            check(algorithm, kernel, data, size);
    }
    return 0;
}
