/* embedded.c - manifests that have no file of their own: the `data` of a descriptor has them in base64. */
#include "json/embedded.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 }; /* for example, an index in an index; each level is a third longer than what it contains */

struct scan {
    ocigc_descriptor_sink sink;
    void *context;
    uint32_t depth;
    int32_t code; /* of a content within this one */
};

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes in place, as Go's encoding/json does: padded, line breaks ignored. false if it is not base64. */
static bool decode_base64(char *text, size_t length, size_t *decoded)
{
    uint32_t bits = 0, digits = 0, padding = 0;
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\r' || text[i] == '\n')
            continue;
        int digit = digit_of(text[i]);
        if (digit < 0 || padding > 0) {
            if (text[i] != '=' || ++padding > 2)
                return false;
            continue;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 == 0) {
            text[written++] = (char)(bits >> 16);
            text[written++] = (char)(bits >> 8);
            text[written++] = (char)bits;
        }
    }
    if ((digits + padding) % 4 != 0 || digits % 4 == 1)
        return false;
    if (digits % 4 == 2) {
        text[written++] = (char)(bits >> 4);
    } else if (digits % 4 == 3) {
        text[written++] = (char)(bits >> 10);
        text[written++] = (char)(bits >> 2);
    }
    *decoded = written;
    return true;
}

static bool matches(const struct ocigc_found_descriptor *found, const char *content, size_t length)
{
    uint8_t actual[64];
    const uint8_t *bytes = (const uint8_t *)content;
    if (found->size >= 0 && (uint64_t)found->size != length)
        return false;
    int32_t algorithm = found->binary.algorithm;
    return ocigc_digest_many(algorithm, NULL, 1, &bytes, &length, actual, NULL) != OCIGC_OK ||
           memcmp(actual, found->binary.bytes, ocigc_algorithm_width(algorithm)) == 0;
}

/* Decodes the `data` into malloc'ed memory. */
static int32_t decode(const struct ocigc_found_descriptor *found, char **content, size_t *length)
{
    struct ocigc_json json;
    struct ocigc_json_string string;
    char *text = malloc((size_t)found->data.length + 1);
    if (text == NULL)
        return OCIGC_NO_MEMORY;
    ocigc_json_open(&json, found->bytes + found->data.start, found->data.length, false);
    bool ok = ocigc_json_read_string(&json, &string);
    ocigc_json_close(&json);
    size_t decoded = ok ? ocigc_json_decode(&string, text, found->data.length) : 0;
    if (!ok || !decode_base64(text, decoded, length) || !matches(found, text, *length)) {
        free(text);
        return OCIGC_CORRUPT;
    }
    *content = text;
    return OCIGC_OK;
}

int32_t ocigc_embedded_media(int32_t role, int32_t media)
{
    if (media == OCIGC_MEDIA_MANIFEST || media == OCIGC_MEDIA_INDEX)
        return media;
    if (role == OCIGC_ROLE_LAYER || role == OCIGC_ROLE_BLOB)
        return OCIGC_MEDIA_LAYER;
    if (media == OCIGC_MEDIA_JSON || media == OCIGC_MEDIA_NONE || role == OCIGC_ROLE_MANIFEST)
        return media == OCIGC_MEDIA_JSON ? media : OCIGC_MEDIA_NONE;
    return role == OCIGC_ROLE_CONFIG && media == OCIGC_MEDIA_UNKNOWN ? OCIGC_MEDIA_NONE : OCIGC_MEDIA_LAYER;
}

static int32_t scan_at(const struct ocigc_found_descriptor *found, ocigc_descriptor_sink sink, void *context,
                       uint32_t depth);

static int forward(void *context, const struct ocigc_found_descriptor *found)
{
    struct scan *scan = context;
    if (found->role == OCIGC_ROLE_SUBJECT && scan->depth > 0)
        return 0;
    if (scan->sink(scan->context, found) != 0)
        scan->code = OCIGC_NO_MEMORY;
    else if (found->role != OCIGC_ROLE_SUBJECT && found->data.length > 0 &&
             ocigc_embedded_media(found->role, found->media) != OCIGC_MEDIA_LAYER)
        scan->code = scan_at(found, scan->sink, scan->context, scan->depth + 1);
    return scan->code == OCIGC_OK ? 0 : -1;
}

static int ignore(void *context, const struct ocigc_found_descriptor *found)
{
    (void)context;
    (void)found;
    return 0;
}

/* If the media type does not say what a content is, the content itself does. */
static int32_t detect(const char *content, size_t length, int32_t *media)
{
    int32_t shape = OCIGC_SHAPE_NONE;
    int32_t code = ocigc_document_scan(content, length, OCIGC_MEDIA_JSON, ignore, NULL, &shape, NULL);
    *media = shape == OCIGC_SHAPE_MANIFEST ? OCIGC_MEDIA_MANIFEST
             : shape == OCIGC_SHAPE_INDEX  ? OCIGC_MEDIA_INDEX
                                           : OCIGC_MEDIA_JSON;
    return code;
}

static int32_t scan_content(const char *content, size_t length, int32_t media, struct scan *scan)
{
    int32_t shape, code = OCIGC_OK;
    if (media == OCIGC_MEDIA_NONE)
        code = detect(content, length, &media);
    if (code == OCIGC_OK)
        code = ocigc_document_scan(content, length, media, forward, scan, &shape, NULL);
    if (scan->code != OCIGC_OK || code != OCIGC_MALFORMED)
        return scan->code != OCIGC_OK ? scan->code : code;
    bool is_strict = media == OCIGC_MEDIA_MANIFEST || media == OCIGC_MEDIA_INDEX;
    return is_strict ? OCIGC_CORRUPT : OCIGC_OK; /* what is not JSON is a leaf */
}

static int32_t scan_at(const struct ocigc_found_descriptor *found, ocigc_descriptor_sink sink, void *context,
                       uint32_t depth)
{
    struct scan scan = {sink, context, depth, OCIGC_OK};
    char *content;
    size_t length;
    if (depth == DEPTH)
        return OCIGC_CORRUPT;
    int32_t code = decode(found, &content, &length);
    if (code != OCIGC_OK)
        return code;
    code = scan_content(content, length, ocigc_embedded_media(found->role, found->media), &scan);
    free(content);
    return code;
}

int32_t ocigc_embedded_scan(const struct ocigc_found_descriptor *found, ocigc_descriptor_sink sink, void *context)
{
    return scan_at(found, sink, context, 0);
}
