/* content.h - a blob's content as the graph needs it: opened once, read as far as is wanted. */
#ifndef OCIGC_STORE_CONTENT_H
#define OCIGC_STORE_CONTENT_H

#include "store/read.h"

struct ocigc_content {
    const ocigc_store *store;
    uint32_t node;
    int file;
    struct stat status;
    bool loaded;
    bool checked;
    struct ocigc_buffer *buffer;
};

enum ocigc_content_kind {
    OCIGC_CONTENT_JSON, /* the first byte that is not blank is '{' */
    OCIGC_CONTENT_TORN, /* nothing, or zeroes only: a write that was cut off */
    OCIGC_CONTENT_OTHER,
};

int32_t ocigc_content_open(struct ocigc_content *content, const ocigc_store *store, uint32_t node,
                           struct ocigc_buffer *buffer, struct ocigc_error *error);
void ocigc_content_close(struct ocigc_content *content);
/* What its first 4 KiB kind like. */
int32_t ocigc_content_guess(const struct ocigc_content *content, enum ocigc_content_kind *kind, struct ocigc_error *error);
/* Reads it whole (at most OCIGC_MANIFEST_LIMIT bytes) into the buffer. Doing it again costs nothing. */
int32_t ocigc_content_load(struct ocigc_content *content, struct ocigc_error *error);
/* Verifies what is loaded. What was `verified` for has to be as the scan saw it instead; what is of an unregistered
 * algorithm is taken as it is. */
int32_t ocigc_content_check(struct ocigc_content *content, bool verified, struct ocigc_error *error);

static inline bool ocigc_content_is_over_limit(const struct ocigc_content *content)
{
    return (uint64_t)content->status.st_size > OCIGC_MANIFEST_LIMIT;
}

#endif
