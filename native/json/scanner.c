#include "json/scanner.h"

#include <stdlib.h>
#include <string.h>

void ocigc_json_open(struct ocigc_json *json, const char *bytes, size_t length, bool unique_keys)
{
    json->bytes = bytes;
    json->length = length;
    json->position = 0;
    json->reason = NULL;
    json->unique_keys = unique_keys;
    json->depth = 0;
    json->keys = json->inline_keys;
    json->key_count = 0;
    json->key_capacity = sizeof json->inline_keys / sizeof json->inline_keys[0];
    json->decoded = NULL;
    json->decoded_count = 0;
    json->duplicate[0] = '\0';
    if (length > UINT32_MAX)
        ocigc_json_fail(json, "larger than 4 GiB");
}

void ocigc_json_close(struct ocigc_json *json)
{
    for (uint32_t i = 0; i < json->decoded_count; i++)
        free(json->decoded[i]);
    free(json->decoded);
    if (json->keys != json->inline_keys)
        free(json->keys);
}

bool ocigc_json_fail(struct ocigc_json *json, const char *reason)
{
    if (json->reason == NULL)
        json->reason = reason;
    return false;
}

static const char OUT_OF_MEMORY[] = "out of memory";

bool ocigc_json_fail_memory(struct ocigc_json *json)
{
    return ocigc_json_fail(json, OUT_OF_MEMORY);
}

bool ocigc_json_is_out_of_memory(const struct ocigc_json *json)
{
    return json->reason == OUT_OF_MEMORY;
}

char ocigc_json_peek(struct ocigc_json *json)
{
    while (json->position < json->length) {
        char c = json->bytes[json->position];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return c;
        json->position++;
    }
    return '\0';
}

bool ocigc_json_end(struct ocigc_json *json)
{
    ocigc_json_peek(json);
    return json->position == json->length;
}

static bool consume(struct ocigc_json *json, char expected, const char *reason)
{
    if (ocigc_json_peek(json) != expected || json->position == json->length)
        return ocigc_json_fail(json, json->position == json->length ? "ends too early" : reason);
    json->position++;
    return true;
}

/* ------------------------------------------------------------------ strings */

#define EVERY_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

/* Whether any of eight bytes is a quote, a backslash, a control byte or not ASCII. After the first such byte it may
 * report others wrongly, but it never misses one. */
static bool needs_care(uint64_t word)
{
    uint64_t quote = word ^ EVERY_BYTE('"');
    uint64_t backslash = word ^ EVERY_BYTE('\\');
    uint64_t low = (quote - EVERY_BYTE(1)) | (backslash - EVERY_BYTE(1)) | (word - EVERY_BYTE(0x20));
    return ((low | word) & EVERY_BYTE(0x80)) != 0;
}

/* The length of the multi-byte UTF-8 sequence at `c`; 0 if it is not one. */
static size_t utf8_sequence(const unsigned char *c, size_t available)
{
    size_t length = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || length > available)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90))
        return 0; /* an overlong encoding */
    if ((c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0; /* a surrogate, or past U+10FFFF */
    return length;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The length of the escape at the backslash `c`; 0 if it is invalid. */
static size_t escape_sequence(const char *c, size_t available)
{
    if (available < 2)
        return 0;
    if (c[1] != 'u')
        return c[1] != '\0' && strchr("\"\\/bfnrt", c[1]) != NULL ? 2 : 0;
    if (available < 6)
        return 0;
    for (size_t i = 2; i < 6; i++)
        if (hex_digit(c[i]) < 0)
            return 0;
    return 6;
}

bool ocigc_json_read_string(struct ocigc_json *json, struct ocigc_json_string *string)
{
    if (!consume(json, '"', "expected a string"))
        return false;
    const char *bytes = json->bytes;
    size_t start = json->position;
    size_t position = start;
    string->escaped = false;
    for (;;) {
        uint64_t word;
        while (json->length - position >= sizeof word) {
            memcpy(&word, bytes + position, sizeof word);
            if (needs_care(word))
                break;
            position += sizeof word;
        }
        if (position == json->length) {
            json->position = position;
            return ocigc_json_fail(json, "ends within a string");
        }
        unsigned char c = (unsigned char)bytes[position];
        size_t step = 1;
        if (c == '"')
            break;
        if (c == '\\') {
            step = escape_sequence(bytes + position, json->length - position);
            string->escaped = true;
        } else if (c < 0x20) {
            step = 0;
        } else if (c >= 0x80) {
            step = utf8_sequence((const unsigned char *)bytes + position, json->length - position);
        }
        if (step == 0) {
            json->position = position;
            return ocigc_json_fail(json, c == '\\'  ? "invalid escape in a string"
                                         : c < 0x20 ? "control character in a string"
                                                    : "invalid UTF-8 in a string");
        }
        position += step;
    }
    string->bytes = bytes + start;
    string->length = (uint32_t)(position - start);
    json->position = position + 1;
    return true;
}

/* ------------------------------------------------------------------ numbers and literals */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char byte_at(const struct ocigc_json *json, size_t position)
{
    return position < json->length ? json->bytes[position] : '\0';
}

static size_t digits(const struct ocigc_json *json, size_t position)
{
    while (is_digit(byte_at(json, position)))
        position++;
    return position;
}

bool ocigc_json_read_number(struct ocigc_json *json, struct ocigc_json_string *number)
{
    ocigc_json_peek(json);
    size_t start = json->position;
    size_t position = start;
    if (byte_at(json, position) == '-')
        position++;
    size_t integer = position;
    position = digits(json, position);
    if (position == integer || (byte_at(json, integer) == '0' && position > integer + 1))
        return ocigc_json_fail(json, position == integer ? "expected a value" : "a number with a leading zero");
    if (byte_at(json, position) == '.') {
        size_t fraction = position + 1;
        position = digits(json, fraction);
        if (position == fraction)
            return ocigc_json_fail(json, "a number without digits after its point");
    }
    if (byte_at(json, position) == 'e' || byte_at(json, position) == 'E') {
        position++;
        if (byte_at(json, position) == '+' || byte_at(json, position) == '-')
            position++;
        size_t exponent = position;
        position = digits(json, position);
        if (position == exponent)
            return ocigc_json_fail(json, "a number without digits in its exponent");
    }
    number->bytes = json->bytes + start;
    number->length = (uint32_t)(position - start);
    number->escaped = false;
    json->position = position;
    return true;
}

static bool skip_literal(struct ocigc_json *json, const char *literal)
{
    size_t length = strlen(literal);
    if (json->length - json->position < length || memcmp(json->bytes + json->position, literal, length) != 0)
        return ocigc_json_fail(json, "expected a value");
    json->position += length;
    return true;
}

/* ------------------------------------------------------------------ objects and arrays */

static bool enter(struct ocigc_json *json, char opening, bool is_object, const char *reason)
{
    if (!consume(json, opening, reason))
        return false;
    if (json->depth == OCIGC_JSON_DEPTH)
        return ocigc_json_fail(json, "nested too deep");
    json->depth++;
    json->is_object[json->depth] = is_object;
    json->is_first[json->depth] = true;
    json->key_base[json->depth] = json->key_count;
    return true;
}

bool ocigc_json_enter_object(struct ocigc_json *json)
{
    return enter(json, '{', true, "expected an object");
}

bool ocigc_json_enter_array(struct ocigc_json *json)
{
    return enter(json, '[', false, "expected an array");
}

static bool remember_key(struct ocigc_json *json, const struct ocigc_json_string *key)
{
    if (json->key_count == json->key_capacity) {
        uint32_t capacity = json->key_capacity * 2;
        struct ocigc_json_key *grown = malloc(capacity * sizeof *grown);
        if (grown == NULL)
            return ocigc_json_fail_memory(json);
        memcpy(grown, json->keys, json->key_count * sizeof *grown);
        if (json->keys != json->inline_keys)
            free(json->keys);
        json->keys = grown;
        json->key_capacity = capacity;
    }
    struct ocigc_json_key *slot = &json->keys[json->key_count];
    slot->bytes = key->bytes;
    slot->length = key->length;
    if (key->escaped) {
        /* Grows when the count is a power of two: such keys are rare. */
        if ((json->decoded_count & (json->decoded_count - 1)) == 0) {
            size_t capacity = json->decoded_count == 0 ? 1 : (size_t)json->decoded_count * 2;
            char **grown = realloc(json->decoded, capacity * sizeof *grown);
            if (grown == NULL)
                return ocigc_json_fail_memory(json);
            json->decoded = grown;
        }
        char *decoded = malloc(key->length);
        if (decoded == NULL)
            return ocigc_json_fail_memory(json);
        json->decoded[json->decoded_count++] = decoded;
        slot->bytes = decoded;
        slot->length = (uint32_t)ocigc_json_decode(key, decoded, key->length);
    }
    json->key_count++;
    return true;
}

static int compare_keys(const void *left, const void *right)
{
    const struct ocigc_json_key *a = left;
    const struct ocigc_json_key *b = right;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->length);
}

static bool is_duplicate(struct ocigc_json *json, const struct ocigc_json_key *key)
{
    size_t length = key->length < sizeof json->duplicate - 1 ? key->length : sizeof json->duplicate - 1;
    memcpy(json->duplicate, key->bytes, length);
    json->duplicate[length] = '\0';
    return ocigc_json_fail(json, "duplicate key");
}

/* Checks the keys of the object that ends: compares a few pairwise, sorts many. */
static bool check_keys(struct ocigc_json *json)
{
    struct ocigc_json_key *keys = json->keys + json->key_base[json->depth];
    uint32_t count = json->key_count - json->key_base[json->depth];
    json->key_count = json->key_base[json->depth];
    if (count > 16) {
        qsort(keys, count, sizeof *keys, compare_keys);
        for (uint32_t i = 1; i < count; i++)
            if (compare_keys(&keys[i - 1], &keys[i]) == 0)
                return is_duplicate(json, &keys[i]);
        return true;
    }
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (compare_keys(&keys[i], &keys[j]) == 0)
                return is_duplicate(json, &keys[i]);
    return true;
}

static bool leave(struct ocigc_json *json)
{
    json->position++;
    bool ok = !json->unique_keys || !json->is_object[json->depth] || check_keys(json);
    json->depth--;
    return ok;
}

/* 1 before a member or an element, 0 after the closing bracket. */
static int advance(struct ocigc_json *json, char closing)
{
    char c = ocigc_json_peek(json);
    bool first = json->is_first[json->depth];
    if (c == closing && json->position < json->length)
        return leave(json) ? 0 : -1;
    json->is_first[json->depth] = false;
    if (!first && !consume(json, ',', "expected a comma"))
        return -1;
    return 1;
}

int ocigc_json_next_member(struct ocigc_json *json, struct ocigc_json_string *key)
{
    int more = advance(json, '}');
    if (more != 1)
        return more;
    if (!ocigc_json_read_string(json, key))
        return -1;
    if (json->unique_keys && !remember_key(json, key))
        return -1;
    return consume(json, ':', "expected a colon") ? 1 : -1;
}

int ocigc_json_next_element(struct ocigc_json *json)
{
    int more = advance(json, ']');
    if (more == 1 && ocigc_json_peek(json) == ']') {
        ocigc_json_fail(json, "expected a value");
        return -1;
    }
    return more;
}

static bool skip_scalar(struct ocigc_json *json, char c)
{
    struct ocigc_json_string ignored;
    switch (c) {
    case '"':
        return ocigc_json_read_string(json, &ignored);
    case 't':
        return skip_literal(json, "true");
    case 'f':
        return skip_literal(json, "false");
    case 'n':
        return skip_literal(json, "null");
    default:
        return ocigc_json_read_number(json, &ignored);
    }
}

bool ocigc_json_skip(struct ocigc_json *json)
{
    uint32_t base = json->depth;
    for (;;) {
        char c = ocigc_json_peek(json);
        bool ok = c == '{'   ? ocigc_json_enter_object(json)
                  : c == '[' ? ocigc_json_enter_array(json)
                             : skip_scalar(json, c);
        if (!ok)
            return false;
        int more = 0;
        while (json->depth > base && more == 0) {
            struct ocigc_json_string key;
            more = json->is_object[json->depth] ? ocigc_json_next_member(json, &key) : ocigc_json_next_element(json);
        }
        if (more < 0)
            return false;
        if (more == 0)
            return true;
    }
}

int32_t ocigc_json_check(const char *bytes, size_t length, struct ocigc_error *error)
{
    struct ocigc_json json;
    ocigc_json_open(&json, bytes, length, false);
    bool ok = json.reason == NULL && ocigc_json_skip(&json) &&
              (ocigc_json_end(&json) || ocigc_json_fail(&json, "unexpected content after the document"));
    ocigc_json_close(&json);
    if (ok)
        return OCIGC_OK;
    ocigc_fail(error, OCIGC_MALFORMED, "invalid JSON: %s", json.reason);
    if (error != NULL)
        error->offset = json.position;
    return OCIGC_MALFORMED;
}
