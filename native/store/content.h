/* content.h - the content of a blob as the graph needs it: opened once, read as far as needed. Contents that the caller
 * has read already (ocigc_store_ahead) are verified, and then used instead of the files. */
#ifndef OCIGC_STORE_CONTENT_H
#define OCIGC_STORE_CONTENT_H

#include "store/node_set.h"
#include "store/opened.h"
#include "store/read.h"

/* Contents of nodes, one after another in `bytes`: that of the number n up to ends[n]. */
struct ocigc_ahead {
    struct ocigc_node_set numbers;
    const uint64_t *ends;
    const char *bytes;
};

struct ocigc_content {
    const ocigc_store *store;
    uint32_t node;
    struct ocigc_blob blob;
    bool loaded;
    bool checked;
    struct ocigc_buffer *buffer;
};

/* `opened` may have it open already; NULL: nothing is. */
int32_t ocigc_content_open(struct ocigc_content *content, const ocigc_store *store, uint32_t node,
                           struct ocigc_opened *opened, struct ocigc_buffer *buffer, struct ocigc_error *error);
void ocigc_content_close(struct ocigc_content *content);
/* Keeps the status of its file (ocigc_status_keep). */
void ocigc_content_keep_status(const struct ocigc_content *content, ocigc_store *store);
/* Whether it may be a JSON object: reads the first 4 KiB, or all if it has less. */
int32_t ocigc_content_may_be_object(struct ocigc_content *content, bool *may_be, struct ocigc_error *error);
/* Reads all of it (at most OCIGC_MANIFEST_LIMIT bytes) into the buffer, once. */
int32_t ocigc_content_load(struct ocigc_content *content, struct ocigc_error *error);
/* Verifies what is loaded. If the caller has verified the blob, the file must be unchanged since its status was read. A
 * blob of an unregistered algorithm is not checked. */
int32_t ocigc_content_check(struct ocigc_content *content, bool is_verified, struct ocigc_error *error);

/* Whether it is too large to be looked into, or not there any more. */
static inline bool ocigc_content_is_out_of_reach(const struct ocigc_content *content)
{
    return (uint64_t)content->blob.status.st_size > OCIGC_MANIFEST_LIMIT || !ocigc_blob_is_kept(&content->blob);
}

#endif
