/* read.h - reads a whole blob into a buffer that can be reused. */
#ifndef OCIGC_STORE_READ_H
#define OCIGC_STORE_READ_H

#include "store/blob.h"

#include <stdbool.h>

struct ocigc_buffer {
    char *bytes;
    size_t length;
    size_t capacity;
};

void ocigc_buffer_free(struct ocigc_buffer *buffer);
/* Copies bytes into the buffer. false: no memory. */
bool ocigc_buffer_put(struct ocigc_buffer *buffer, const char *bytes, size_t length);

/* Opens and loads a blob. Verifies it if `verify` is set and this core can compute the digest. */
int32_t ocigc_blob_read(const ocigc_store *store, uint32_t node, uint64_t limit, bool verify,
                        struct ocigc_buffer *buffer, struct ocigc_error *error);

/* Its steps, for an open blob. */
int32_t ocigc_blob_load(const ocigc_store *store, uint32_t node, const struct ocigc_blob *blob, uint64_t limit,
                        struct ocigc_buffer *buffer, struct ocigc_error *error);
int32_t ocigc_blob_check(const ocigc_store *store, uint32_t node, const struct ocigc_blob *blob,
                         const struct ocigc_buffer *buffer, struct ocigc_error *error);

/* OCIGC_CHANGED. */
int32_t ocigc_blob_fail_changed(const ocigc_store *store, uint32_t node, struct ocigc_error *error);

#endif
