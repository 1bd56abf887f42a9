#include "base/base.h"

#include <string.h>

static const struct {
    const char *name;
    uint32_t width;
} ALGORITHMS[] = {
    [OCIGC_ALGORITHM_OTHER] = {NULL, 0},
    [OCIGC_SHA256] = {"sha256", 32},
    [OCIGC_SHA512] = {"sha512", 64},
    [OCIGC_BLAKE3] = {"blake3", 32},
};
enum { ALGORITHM_COUNT = sizeof ALGORITHMS / sizeof ALGORITHMS[0] };

uint32_t ocigc_algorithm_width(int32_t algorithm)
{
    return algorithm > 0 && algorithm < ALGORITHM_COUNT ? ALGORITHMS[algorithm].width : 0;
}

const char *ocigc_algorithm_name(int32_t algorithm)
{
    return algorithm > 0 && algorithm < ALGORITHM_COUNT ? ALGORITHMS[algorithm].name : NULL;
}

int32_t ocigc_algorithm_of(const char *name, size_t length)
{
    for (int32_t i = 1; i < ALGORITHM_COUNT; i++)
        if (strlen(ALGORITHMS[i].name) == length && memcmp(ALGORITHMS[i].name, name, length) == 0)
            return i;
    return OCIGC_ALGORITHM_OTHER;
}

/* 1 + the value of a lowercase hex digit; 0 for any other byte. A table, because branches on digests are unpredictable.
 */
static const uint8_t HEX_VALUES[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int ocigc_hex_decode(const char *hex, size_t length, uint8_t *out, uint32_t width)
{
    if (length != (size_t)width * 2)
        return -1;
    int wrong = 0; /* negative after an invalid digit */
    for (uint32_t i = 0; i < width; i++) {
        int high = HEX_VALUES[(uint8_t)hex[2 * i]] - 1;
        int low = HEX_VALUES[(uint8_t)hex[2 * i + 1]] - 1;
        wrong |= high | low;
        out[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    return wrong < 0 ? -1 : 0;
}

void ocigc_hex_encode(const uint8_t *bytes, uint32_t width, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < width; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static int is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The image-spec's grammar:
 *   digest    ::= algorithm ":" encoded
 *   algorithm ::= component (separator component)*   component ::= [a-z0-9]+   separator ::= [+._-]
 *   encoded   ::= [a-zA-Z0-9=_-]+ */
bool ocigc_digest_read(const char *text, size_t length, struct ocigc_digest *digest)
{
    if (length > OCIGC_DIGEST_TEXT_MAX)
        return false;
    size_t colon = 0;
    int after_separator = 1;
    for (; colon < length && text[colon] != ':'; colon++) {
        char c = text[colon];
        int component = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        int separator = c == '+' || c == '.' || c == '_' || c == '-';
        if (!component && !(separator && !after_separator))
            return false;
        after_separator = separator;
    }
    if (after_separator || colon + 1 >= length)
        return false;
    const char *encoded = text + colon + 1;
    size_t encoded_length = length - colon - 1;
    digest->algorithm = ocigc_algorithm_of(text, colon);
    if (digest->algorithm != OCIGC_ALGORITHM_OTHER)
        return ocigc_hex_decode(encoded, encoded_length, digest->bytes, ALGORITHMS[digest->algorithm].width) == 0;
    for (size_t i = 0; i < encoded_length; i++)
        if (!is_alphanumeric(encoded[i]) && encoded[i] != '=' && encoded[i] != '_' && encoded[i] != '-')
            return false;
    return true;
}

int32_t ocigc_digest_grammar(const char *text, size_t length)
{
    struct ocigc_digest digest;
    return ocigc_digest_read(text, length, &digest) ? digest.algorithm : -1;
}
