/* verify_lanes.h - hashes the blobs of a queue on the threads that share it. */
#ifndef OCIGC_STORE_VERIFY_LANES_H
#define OCIGC_STORE_VERIFY_LANES_H

#include "store/read_ahead.h"
#include "store/store.h"

/* Blobs of one algorithm, in the order in which they are begun. */
struct ocigc_verify_queue {
    const ocigc_store *store;
    const uint32_t *nodes;
    const uint32_t *order; /* positions in nodes and verdicts, the largest blob first */
    uint8_t *verdicts;
    size_t count;
    size_t ready;        /* how many may be begun while the rest is held back */
    const int32_t *held; /* by the caller, if not 0; NULL: nothing is */
    size_t next;         /* shared by the threads, as are `late` and `left` */
    bool late;           /* the deadline came before the end of the queue */
    int64_t left;        /* bytes that are not hashed yet */
    uint32_t threads;
    int32_t algorithm;
    int64_t deadline;
    struct ocigc_checksum *checksums;
    struct ocigc_read_ahead ahead;
    struct ocigc_progress *progress;
};

/* Hashes what is in the queue, until its end, the deadline or an interrupt. One thread of several. */
void ocigc_verify_lanes(void *queue);

#endif
