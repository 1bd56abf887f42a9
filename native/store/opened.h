/* opened.h - a few blobs that are read next, opened before. The kernel reads their beginnings meanwhile: it asks the
 * disk for many at a time, and once for those that lie side by side. */
#ifndef OCIGC_STORE_OPENED_H
#define OCIGC_STORE_OPENED_H

#include "store/store.h"

enum { OCIGC_OPENED_MOST = 16 };

struct ocigc_opened {
    uint32_t nodes[OCIGC_OPENED_MOST];
    struct ocigc_blob blobs[OCIGC_OPENED_MOST];
    uint32_t count;
    uint32_t taken; /* the first of them are not ours any more */
};

/* Opens the blob of one more node, if there is room and it can be opened: what is wrong with it is for its reader. */
void ocigc_opened_add(struct ocigc_opened *opened, const ocigc_store *store, uint32_t node);
/* Hands over the blob of a node, in the order in which they were added. false: it is not open. `opened` may be NULL. */
bool ocigc_opened_take(struct ocigc_opened *opened, uint32_t node, struct ocigc_blob *blob);
/* Closes what has not been handed over. */
void ocigc_opened_close(struct ocigc_opened *opened);

#endif
