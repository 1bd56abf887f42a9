/* read_ahead.h - reads blobs of a queue before their turn comes, while they are not in memory.
 *
 * A thread that hashes waits for one blob at a time, which does not keep a disk busy. So a few more threads read ahead
 * of the queue, and the kernel keeps what they read. They stay within OCIGC_AHEAD bytes of the queue, begin when
 * some blobs are not in memory, and pause after many that are. */
#ifndef OCIGC_STORE_READ_AHEAD_H
#define OCIGC_STORE_READ_AHEAD_H

#include "base/base.h"

#include <pthread.h>
#include <stdbool.h>

enum {
    OCIGC_AHEAD = 64 << 20,       /* bytes */
    OCIGC_AHEAD_OF_ONE = 4 << 20, /* bytes of a blob; the kernel itself reads ahead in the rest */
    OCIGC_AHEAD_THREADS = 8,      /* each waits for one blob */
};

struct ocigc_read_ahead {
    const ocigc_store *store;
    const uint32_t *nodes;
    const uint32_t *order; /* of the queue: positions in `nodes` */
    size_t count;
    const size_t *next; /* of the queue, shared by the threads that take from it */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pthread_t threads[OCIGC_AHEAD_THREADS];
    uint32_t started;
    bool is_over;
    bool is_cold;
    size_t place;      /* in the queue */
    uint64_t drawn;    /* bytes of the blobs before that place */
    uint64_t begun;    /* bytes of those that were taken from the queue */
    uint32_t in_a_row; /* that are in memory */
    uint32_t reading;  /* threads that may have a file open now */
};

/* For a queue from which nothing was taken yet. Reading begins with ocigc_read_ahead_begin. */
void ocigc_read_ahead_init(struct ocigc_read_ahead *ahead, const ocigc_store *store, const uint32_t *nodes,
                           const uint32_t *order, size_t count, const size_t *next);
/* Some blobs that were taken from the queue are not in memory. */
void ocigc_read_ahead_begin(struct ocigc_read_ahead *ahead);
/* A blob was taken from the queue. */
void ocigc_read_ahead_follow(struct ocigc_read_ahead *ahead, uint64_t size);
/* Stops for good, and waits until no file is open. Returns whether there was something to stop. */
bool ocigc_read_ahead_stop(struct ocigc_read_ahead *ahead);
void ocigc_read_ahead_free(struct ocigc_read_ahead *ahead);

#endif
