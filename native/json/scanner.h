/* scanner.h - a strict pull scanner for RFC 8259. It builds no document and does not recurse. Every function that
 * returns bool returns false after an error; `reason` and `position` then say what and where. */
#ifndef OCIGC_JSON_SCANNER_H
#define OCIGC_JSON_SCANNER_H

#include "base/base.h"

#include <stdbool.h>

#define OCIGC_JSON_DEPTH 512u

/* A string as written between its quotes. */
struct ocigc_json_string {
    const char *bytes;
    uint32_t length;
    bool escaped; /* must be decoded before it is compared */
};

struct ocigc_json_key {
    const char *bytes; /* decoded */
    uint32_t length;
};

struct ocigc_json {
    const char *bytes;
    size_t length;
    size_t position;
    const char *reason; /* NULL until an error */
    bool unique_keys;   /* refuse duplicate keys */
    uint32_t depth;
    bool is_object[OCIGC_JSON_DEPTH + 1];
    bool is_first[OCIGC_JSON_DEPTH + 1];
    uint32_t key_base[OCIGC_JSON_DEPTH + 1]; /* the first key in `keys` of the object at each depth */
    struct ocigc_json_key *keys;             /* of all open objects; only with unique_keys */
    uint32_t key_count;
    uint32_t key_capacity;
    struct ocigc_json_key inline_keys[64];
    char **decoded; /* keys that had to be decoded */
    uint32_t decoded_count;
    char duplicate[48]; /* the duplicate key, for the message */
};

/* `length` is at most UINT32_MAX. ocigc_json_close frees the memory of the check for duplicate keys. */
void ocigc_json_open(struct ocigc_json *json, const char *bytes, size_t length, bool unique_keys);
void ocigc_json_close(struct ocigc_json *json);
bool ocigc_json_fail(struct ocigc_json *json, const char *reason);
/* Fails because memory ran out, which says nothing about the document. */
bool ocigc_json_fail_memory(struct ocigc_json *json);
bool ocigc_json_is_out_of_memory(const struct ocigc_json *json);

/* The next byte that is not white space, not consumed; '\0' at the end. */
char ocigc_json_peek(struct ocigc_json *json);
/* Whether nothing but white space is left. */
bool ocigc_json_end(struct ocigc_json *json);

bool ocigc_json_enter_object(struct ocigc_json *json);
bool ocigc_json_enter_array(struct ocigc_json *json);
/* 1: a member follows (its key is read, its value is next), or an element; 0: the object or array has ended; -1: an
 * error. */
int ocigc_json_next_member(struct ocigc_json *json, struct ocigc_json_string *key);
int ocigc_json_next_element(struct ocigc_json *json);

bool ocigc_json_read_string(struct ocigc_json *json, struct ocigc_json_string *string);
/* Reads the text of a number. */
bool ocigc_json_read_number(struct ocigc_json *json, struct ocigc_json_string *number);
/* Skips the next value. */
bool ocigc_json_skip(struct ocigc_json *json);

/* Decodes to UTF-8 (an unpaired surrogate becomes U+FFFD). Returns the length, or SIZE_MAX if it exceeds `capacity`.
 * The decoded form is never longer than the written one. */
size_t ocigc_json_decode(const struct ocigc_json_string *string, char *out, size_t capacity);
bool ocigc_json_equals(const struct ocigc_json_string *string, const char *text);
/* The same, ignoring the case of ASCII letters. */
bool ocigc_json_equals_folded(const struct ocigc_json_string *string, const char *text);

#endif
