/* Every kernel that this machine can run, against known answers and against each other. */

#include "base/base.h"
#include "tests/check.h"

#include <string.h>

static void to_hex(const uint8_t *digest, uint32_t width, char *hex)
{
    ocigc_hex_encode(digest, width, hex);
    hex[2 * width] = '\0';
}

/* FIPS 180-4's examples, and a message that is a million times "a". */
static void known_answers(int32_t algorithm, const char *kernel)
{
    static const struct {
        const char *message;
        const char *sha256;
        const char *sha512;
    } answers[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
         "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
         "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335"
         "96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445"},
    };
    uint8_t digest[64];
    char hex[129];
    uint32_t width = ocigc_algorithm_width(algorithm);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const uint8_t *message = (const uint8_t *)answers[i].message;
        size_t length = strlen(answers[i].message);
        CHECK(ocigc_digest_many(algorithm, kernel, 1, &message, &length, digest, NULL) == OCIGC_OK);
        to_hex(digest, width, hex);
        CHECK(strcmp(hex, algorithm == OCIGC_SHA512 ? answers[i].sha512 : answers[i].sha256) == 0);
    }
    size_t million = 1000000;
    uint8_t *message = malloc(million);
    const uint8_t *messages[] = {message};
    CHECK(message != NULL);
    memset(message, 'a', million);
    CHECK(ocigc_digest_many(algorithm, kernel, 1, messages, &million, digest, NULL) == OCIGC_OK);
    to_hex(digest, width, hex);
    if (algorithm == OCIGC_SHA256)
        CHECK(strcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0") == 0);
    free(message);
}

enum { LONGEST = 1024 };

/* All lengths at once, so that lanes end at every moment there is; and one by one. */
static void every_length(int32_t algorithm, const char *kernel, const uint8_t *message)
{
    static const uint8_t *messages[LONGEST + 1];
    static size_t lengths[LONGEST + 1];
    static uint8_t expected[(LONGEST + 1) * 64], many[(LONGEST + 1) * 64];
    uint32_t width = ocigc_algorithm_width(algorithm);
    for (size_t i = 0; i <= LONGEST; i++) {
        messages[i] = message + i % 7; /* not aligned either */
        lengths[i] = i;
        CHECK(ocigc_digest_many(algorithm, "portable", 1, &messages[i], &lengths[i], expected + i * width, NULL) == 0);
    }
    CHECK(ocigc_digest_many(algorithm, kernel, LONGEST + 1, messages, lengths, many, NULL) == OCIGC_OK);
    CHECK(memcmp(many, expected, (LONGEST + 1) * width) == 0);
    for (size_t i = 0; i <= LONGEST; i++) {
        CHECK(ocigc_digest_many(algorithm, kernel, 1, &messages[i], &lengths[i], many, NULL) == OCIGC_OK);
        CHECK(memcmp(many, expected + i * width, width) == 0);
    }
}

static void random_splits(int32_t algorithm, const char *kernel, const uint8_t *message)
{
    uint8_t whole[64], pieces[64];
    uint32_t width = ocigc_algorithm_width(algorithm);
    srand(1);
    for (int round = 0; round < 500; round++) {
        size_t lengths[16];
        size_t total = 0;
        for (size_t i = 0; i < 16; i++)
            total += lengths[i] = (size_t)rand() % 65;
        CHECK(ocigc_digest_pieces(algorithm, kernel, message, lengths, 16, pieces, NULL) == OCIGC_OK);
        CHECK(ocigc_digest_many(algorithm, "portable", 1, &message, &total, whole, NULL) == OCIGC_OK);
        CHECK(memcmp(whole, pieces, width) == 0);
    }
}

static void dispatch(void)
{
    uint8_t digest[64];
    const uint8_t *message = digest;
    size_t length = 0;
    CHECK(ocigc_digest_many(OCIGC_BLAKE3, NULL, 1, &message, &length, digest, NULL) == OCIGC_UNVERIFIABLE);
    CHECK(ocigc_digest_many(OCIGC_SHA256, "no such kernel", 1, &message, &length, digest, NULL) == OCIGC_UNVERIFIABLE);
    CHECK(setenv("OCIGC_SHA256", "portable", 1) == 0);
    CHECK(strcmp(ocigc_digest_implementation(OCIGC_SHA256, 0), "portable") == 0);
    CHECK(setenv("OCIGC_SHA256", "no such kernel", 1) == 0);
    CHECK(ocigc_digest_implementation(OCIGC_SHA256, 0) != NULL);
    CHECK(unsetenv("OCIGC_SHA256") == 0);
}

int main(void)
{
    static uint8_t message[LONGEST + 8];
    srand(0);
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)rand();
    for (int32_t algorithm = OCIGC_SHA256; algorithm <= OCIGC_SHA512; algorithm++) {
        const char *kernel;
        for (uint32_t i = 0; (kernel = ocigc_digest_implementation(algorithm, i)) != NULL; i++) {
            known_answers(algorithm, kernel);
            every_length(algorithm, kernel, message);
            random_splits(algorithm, kernel, message);
            printf("%s %s: ok\n", ocigc_algorithm_name(algorithm), kernel);
        }
    }
    dispatch();
    return 0;
}
