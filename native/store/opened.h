/* opened.h - the next few blobs to read, opened ahead. Meanwhile the kernel reads their beginnings: it requests many at
 * a time from the disk, and merges requests for neighbouring blocks. */
#ifndef OCIGC_STORE_OPENED_H
#define OCIGC_STORE_OPENED_H

#include "store/store.h"

enum { OCIGC_OPENED_MOST = 16 };

struct ocigc_opened {
    uint32_t nodes[OCIGC_OPENED_MOST];
    struct ocigc_blob blobs[OCIGC_OPENED_MOST];
    uint32_t count;
    uint32_t taken; /* the first of them have been handed over */
};

/* Opens the blob of one more node, if there is room and it can be opened. Errors are left to its reader. */
void ocigc_opened_add(struct ocigc_opened *opened, const ocigc_store *store, uint32_t node);
/* Hands over the blob of a node, in the order in which they were added. false: it is not open. `opened` may be NULL. */
bool ocigc_opened_take(struct ocigc_opened *opened, uint32_t node, struct ocigc_blob *blob);
/* Closes what has not been handed over. */
void ocigc_opened_close(struct ocigc_opened *opened);

#endif
