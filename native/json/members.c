/* members.c - where the members of an object, or the elements of an array, are in a document. */
#include "json/scanner.h"

static struct ocigc_span span_between(size_t start, size_t end)
{
    return (struct ocigc_span){.start = (uint32_t)start, .length = (uint32_t)(end - start)};
}

static bool skip_value(struct ocigc_json *json, struct ocigc_span *value)
{
    ocigc_json_peek(json);
    size_t start = json->position;
    bool ok = ocigc_json_skip(json);
    *value = span_between(start, json->position);
    return ok;
}

/* As ocigc_json_next_member does, with the value skipped. */
static int next(struct ocigc_json *json, bool is_object, struct ocigc_member *member)
{
    struct ocigc_json_string key;
    *member = (struct ocigc_member){0};
    int more = is_object ? ocigc_json_next_member(json, &key) : ocigc_json_next_element(json);
    if (more == 1 && is_object) {
        size_t quote = (size_t)(key.bytes - json->bytes) - 1;
        member->key = span_between(quote, quote + key.length + 2);
    }
    return more == 1 && !skip_value(json, &member->value) ? -1 : more;
}

int32_t ocigc_json_members(const char *bytes, size_t length, struct ocigc_member *out, size_t capacity, size_t *count,
                           struct ocigc_error *error)
{
    struct ocigc_json json;
    struct ocigc_member member;
    int more = -1;
    *count = 0;
    ocigc_json_open(&json, bytes, length, false);
    bool is_object = ocigc_json_peek(&json) == '{';
    if (json.reason == NULL && (is_object ? ocigc_json_enter_object(&json) : ocigc_json_enter_array(&json))) {
        while ((more = next(&json, is_object, &member)) == 1) {
            if (*count < capacity)
                out[*count] = member;
            ++*count;
        }
    }
    bool ok = more == 0 && (ocigc_json_end(&json) || ocigc_json_fail(&json, "unexpected content after the document"));
    if (!ok) {
        ocigc_fail(error, OCIGC_MALFORMED, "invalid JSON: %s", json.reason);
        if (error != NULL)
            error->offset = json.position;
    }
    ocigc_json_close(&json);
    return ok ? OCIGC_OK : OCIGC_MALFORMED;
}
