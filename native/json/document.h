/* document.h - reads the descriptors of a document one by one, without an allocation. */
#ifndef OCIGC_JSON_DOCUMENT_H
#define OCIGC_JSON_DOCUMENT_H

#include "base/base.h"
#include "json/scanner.h"

/* The strings are decoded, and valid only while the sink runs. */
struct ocigc_found_descriptor {
    int32_t role;
    int32_t media;
    int64_t size; /* -1 if not given */
    struct ocigc_span object;
    const char *bytes;             /* of the document: the spans are in it */
    struct ocigc_span annotations; /* the value of that member, of whatever type; empty if there is none */
    struct ocigc_span data;        /* the same */
    const char *media_type;
    uint32_t media_type_length;
    const char *digest;
    uint32_t digest_length;
    struct ocigc_digest binary; /* the same digest, parsed */
};

/* Returns 0, or -1 to stop because memory ran out. */
typedef int (*ocigc_descriptor_sink)(void *context, const struct ocigc_found_descriptor *found);

/* Passes every descriptor of the document to the sink, in document order (not in the order of roles). `media` as for
 * ocigc_document_parse; `shape` receives the enum ocigc_shape. */
int32_t ocigc_document_scan(const char *bytes, size_t length, int32_t media, ocigc_descriptor_sink sink, void *context,
                            int32_t *shape, struct ocigc_error *error);

/* Its two halves; on failure `json` has the reason. */
bool ocigc_strict_scan(struct ocigc_json *json, int32_t media, ocigc_descriptor_sink sink, void *context,
                       int32_t *shape);
bool ocigc_lenient_scan(struct ocigc_json *json, ocigc_descriptor_sink sink, void *context, int32_t *shape);

/* Reads a JSON integer 0 .. 2^63-1. Returns NULL, or why it is not one. */
const char *ocigc_json_size(const struct ocigc_json_string *number, int64_t *size);

#endif
