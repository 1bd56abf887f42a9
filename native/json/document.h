/* document.h - descriptors out of a document, one by one, without an allocation. */
#ifndef OCIGC_JSON_DOCUMENT_H
#define OCIGC_JSON_DOCUMENT_H

#include "common/common.h"
#include "json/scanner.h"

/* Strings are decoded and valid during the sink's call only. */
struct ocigc_found_descriptor {
    int32_t role;
    int32_t media;
    int64_t size; /* -1 where it has none */
    struct ocigc_span object;
    struct ocigc_span annotations; /* the value of that member, whatever it is; empty where there is none */
    const char *media_type;
    uint32_t media_type_length;
    const char *digest;
    uint32_t digest_length;
    struct ocigc_digest binary; /* the same */
};

/* Not 0: stop, out of memory. */
typedef int (*ocigc_descriptor_sink)(void *context, const struct ocigc_found_descriptor *found);

/* Gives every descriptor of the document to the sink, in the order in which they stand there (which need not be that of
 * their roles). `media` as for ocigc_document_parse; `shape` gets the document's enum ocigc_shape. */
int32_t ocigc_document_scan(const char *bytes, size_t length, int32_t media, ocigc_descriptor_sink sink, void *context,
                            int32_t *shape, struct ocigc_error *error);

/* The two halves of it; both leave the reason of a failure in `json`. */
bool ocigc_strict_scan(struct ocigc_json *json, int32_t media, ocigc_descriptor_sink sink, void *context,
                       int32_t *shape);
bool ocigc_lenient_scan(struct ocigc_json *json, ocigc_descriptor_sink sink, void *context, int32_t *shape);

/* A JSON integer 0 .. 2^63-1; the reason why it is none, or NULL. */
const char *ocigc_json_size(const struct ocigc_json_string *number, int64_t *size);

#endif
