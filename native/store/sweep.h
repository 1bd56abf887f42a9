/* sweep.h - what the sweep of blobs and that of their label files share: the directories to move from and to. */
#ifndef OCIGC_STORE_SWEEP_H
#define OCIGC_STORE_SWEEP_H

#include "store/store.h"

/* The directories of one algorithm: where its blobs and label files are, and where they go. */
struct ocigc_way {
    int blobs;
    int blob_trash;
    int labels; /* -1: there are none */
    int label_trash;
};

struct ocigc_sweep {
    const ocigc_store *store;
    const uint32_t *nodes;
    size_t count;
    uint8_t *results;
    int64_t *changed; /* the ctime of each node that is LINKED, in nanoseconds; NULL where all is renamed */
    int trash;
    struct ocigc_way *ways; /* of each table */
    struct ocigc_progress *progress;
    struct ocigc_error *error;
};

/* Opens the directories of an algorithm, and makes those in the trash. */
int32_t ocigc_way_open(const ocigc_store *store, const struct ocigc_digest_table *table, int trash,
                       struct ocigc_way *way, struct ocigc_error *error);
void ocigc_way_close(const struct ocigc_way *way);

/* Renames, and replaces what an interrupted run may have left in the trash. 0, or an errno. */
int ocigc_move_into_trash(int from, const char *name, int to);
/* Gives a file a second name in the trash, in place of what an interrupted run may have left there. 0, or an errno. */
int ocigc_link_into_trash(int from, const char *name, int to);
/* Whether the file system has no hard links, or allows no more of them for this file. */
bool ocigc_cannot_link(int cause);
/* Makes the names in the trash durable: those of label files, or of blobs. 0, or an errno. */
int ocigc_sync_trash(const struct ocigc_sweep *sweep, bool labels);

/* Label files follow their blobs. */
int32_t ocigc_sweep_label_files(const struct ocigc_sweep *sweep);

#endif
