/* scanner.h - a strict pull scanner for RFC 8259: no document is built, and input cannot make it recurse.
 *
 * Every function that returns bool says false once anything is wrong; `reason` and `position` then tell what and where. */
#ifndef OCIGC_JSON_SCANNER_H
#define OCIGC_JSON_SCANNER_H

#include "common/common.h"

#include <stdbool.h>

#define OCIGC_JSON_DEPTH 512u

/* A string as it stands between its quotes. */
struct ocigc_json_string {
    const char *bytes;
    uint32_t length;
    bool escaped; /* has to be decoded before it is compared */
};

struct ocigc_json_key {
    const char *bytes; /* decoded */
    uint32_t length;
};

struct ocigc_json {
    const char *bytes;
    size_t length;
    size_t position;
    const char *reason; /* NULL while all is well */
    bool unique_keys;   /* refuse a key that an object holds twice */
    uint32_t depth;
    bool is_object[OCIGC_JSON_DEPTH + 1];
    bool is_first[OCIGC_JSON_DEPTH + 1];
    uint32_t key_base[OCIGC_JSON_DEPTH + 1]; /* where the keys of the object at a depth start in `keys` */
    struct ocigc_json_key *keys;             /* of all open objects; only with unique_keys */
    uint32_t key_count;
    uint32_t key_capacity;
    struct ocigc_json_key inline_keys[64];
    char **decoded; /* keys that had to be decoded */
    uint32_t decoded_count;
    char duplicate[48]; /* the key that stood twice, for the message */
};

/* `length` is at most UINT32_MAX. ocigc_json_close frees what duplicate keys needed. */
void ocigc_json_open(struct ocigc_json *json, const char *bytes, size_t length, bool unique_keys);
void ocigc_json_close(struct ocigc_json *json);
bool ocigc_json_fail(struct ocigc_json *json, const char *reason);

/* The next byte that is no white space, not consumed; '\0' at the end. */
char ocigc_json_peek(struct ocigc_json *json);
/* Whether only white space is left. */
bool ocigc_json_end(struct ocigc_json *json);

bool ocigc_json_enter_object(struct ocigc_json *json);
bool ocigc_json_enter_array(struct ocigc_json *json);
/* 1: a member (its key, its value comes next) or an element comes next; 0: the object or array has ended; -1: wrong. */
int ocigc_json_next_member(struct ocigc_json *json, struct ocigc_json_string *key);
int ocigc_json_next_element(struct ocigc_json *json);

bool ocigc_json_read_string(struct ocigc_json *json, struct ocigc_json_string *string);
/* A number's text. */
bool ocigc_json_read_number(struct ocigc_json *json, struct ocigc_json_string *number);
/* Whatever comes next, all of it. */
bool ocigc_json_skip(struct ocigc_json *json);

/* Decodes to UTF-8 (an unpaired surrogate becomes U+FFFD); the length, or SIZE_MAX where it is more than `capacity`.
 * The decoded form is never longer than the raw one. */
size_t ocigc_json_decode(const struct ocigc_json_string *string, char *out, size_t capacity);
bool ocigc_json_equals(const struct ocigc_json_string *string, const char *text);
/* The same, letters of ASCII compared without case. */
bool ocigc_json_equals_folded(const struct ocigc_json_string *string, const char *text);

#endif
