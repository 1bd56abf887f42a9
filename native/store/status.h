/* status.h - the status of the files of nodes. A scan that asks for it keeps it in the tables' entries. A scan of names
 * leaves it to ocigc_store_stat, which is usually asked for few nodes: some 28 bytes each. If it is asked for many, 12
 * bytes for every node. */
#ifndef OCIGC_STORE_STATUS_H
#define OCIGC_STORE_STATUS_H

#include "store/node_set.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct ocigc_store;

struct ocigc_status {
    uint64_t size; /* flags, and the size if below OCIGC_SIZE_LARGE, else the number of a struct ocigc_inode */
    int64_t stamp; /* OCIGC_STAMP_UNKNOWN until asked for */
};

#define OCIGC_STATUS_INODE   (UINT64_C(1) << 63)
#define OCIGC_STATUS_TOUCHED (UINT64_C(1) << 62) /* touched after the scan began */
#define OCIGC_SIZE_MASK      (OCIGC_STATUS_TOUCHED - 1)
#define OCIGC_SIZE_LARGE     (UINT64_C(1) << 30)
#define OCIGC_STAMP_UNKNOWN  INT64_MIN
#define OCIGC_STAMP_NEVER    (OCIGC_STAMP_UNKNOWN + 1) /* of a file that is gone */

/* The statuses after a scan of names: of some nodes by their numbers in a set, or of all. */
struct ocigc_status_table {
    int64_t *stamps;
    uint32_t *sizes; /* the flags, and 30 bits */
    uint32_t stamp_capacity;
    uint32_t size_capacity;
    bool all;
    struct ocigc_node_set numbers;
};

void ocigc_status_table_free(struct ocigc_status_table *table);

/* The status of a node; its stamp is OCIGC_STAMP_UNKNOWN if it is not known. */
struct ocigc_status ocigc_status_of(const struct ocigc_store *store, uint32_t node);

/* Makes room in the table for the status of `count` nodes (NULL: of all). false: no memory. */
bool ocigc_status_reserve(struct ocigc_store *store, const uint32_t *nodes, size_t count);
/* Gives the place in the table to one of several threads; UINT32_MAX if another has it or the status is known. */
uint32_t ocigc_status_claim(struct ocigc_store *store, uint32_t node);
/* Fills the place. An unknown status leaves it to the next thread that claims it. */
void ocigc_status_put(struct ocigc_store *store, uint32_t place, struct ocigc_status status);

/* Keeps the status of a file that was opened for another reason, if there is room for all statuses. */
void ocigc_status_keep(struct ocigc_store *store, uint32_t node, const struct stat *file);

/* Converts what stat returned. `lock` guards the store's inodes. false: no memory, `status` is unchanged. */
bool ocigc_status_make(struct ocigc_store *store, pthread_mutex_t *lock, const struct stat *file,
                       struct ocigc_status *status);

#endif
