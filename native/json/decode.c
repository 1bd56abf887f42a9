/* decode.c - decodes the strings that the scanner has found, and compares them with texts. */
#include "json/scanner.h"

#include <string.h>

/* The code unit of an escape that the scanner has accepted: four hexadecimal digits after the u. */
static uint32_t code_unit(const char *escape)
{
    uint32_t unit = 0;
    for (size_t i = 2; i < 6; i++)
        unit = unit << 4 | (uint32_t)((escape[i] & 15) + (escape[i] > '9' ? 9 : 0));
    return unit;
}

static size_t encode_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[length] | code);
    return length;
}

size_t ocigc_json_decode(const struct ocigc_json_string *string, char *out, size_t capacity)
{
    if (!string->escaped) {
        if (string->length > capacity)
            return SIZE_MAX;
        if (string->length > 0)
            memcpy(out, string->bytes, string->length);
        return string->length;
    }
    size_t used = 0;
    for (uint32_t i = 0; i < string->length;) {
        const char *c = string->bytes + i;
        char piece[4];
        size_t length = 1;
        if (*c != '\\') {
            piece[0] = *c;
            i++;
        } else if (c[1] != 'u') {
            static const char from[] = "\"\\/bfnrt";
            static const char to[] = "\"\\/\b\f\n\r\t";
            piece[0] = to[strchr(from, c[1]) - from];
            i += 2;
        } else {
            uint32_t code = code_unit(c);
            i += 6;
            if (code >= 0xd800 && code < 0xdc00 && string->length - i >= 6 && c[6] == '\\' && c[7] == 'u') {
                uint32_t low = code_unit(c + 6);
                if (low >= 0xdc00 && low < 0xe000) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    i += 6;
                }
            }
            if (code >= 0xd800 && code < 0xe000)
                code = 0xfffd;
            length = encode_utf8(code, piece);
        }
        if (used + length > capacity)
            return SIZE_MAX;
        memcpy(out + used, piece, length);
        used += length;
    }
    return used;
}

bool ocigc_json_equals(const struct ocigc_json_string *string, const char *text)
{
    size_t length = strlen(text);
    if (!string->escaped)
        return string->length == length && memcmp(string->bytes, text, length) == 0;
    char decoded[64];
    size_t decoded_length = ocigc_json_decode(string, decoded, sizeof decoded);
    return decoded_length == length && memcmp(decoded, text, length) == 0;
}

bool ocigc_json_equals_folded(const struct ocigc_json_string *string, const char *text)
{
    char decoded[64];
    size_t length = ocigc_json_decode(string, decoded, sizeof decoded);
    if (length != strlen(text))
        return false;
    for (size_t i = 0; i < length; i++) {
        char a = decoded[i];
        char b = text[i];
        if (a >= 'A' && a <= 'Z')
            a = (char)(a + ('a' - 'A'));
        if (b >= 'A' && b <= 'Z')
            b = (char)(b + ('a' - 'A'));
        if (a != b)
            return false;
    }
    return true;
}
