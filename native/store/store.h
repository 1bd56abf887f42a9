/* store.h - what the parts of the store share. */
#ifndef OCIGC_STORE_STORE_H
#define OCIGC_STORE_STORE_H

#include "store/blob.h"
#include "store/digest_table.h"

#include <pthread.h>
#include <sys/stat.h>

/* The inode of a blob that has several links or is large. */
struct ocigc_inode {
    uint64_t inode;
    uint64_t size;
    int64_t modified;
    uint32_t device; /* the kernel's own dev_t has 32 bits */
    uint32_t links;
};

struct ocigc_graph;
struct ocigc_archive;
struct ocigc_ahead;

struct ocigc_store {
    int layout;
    int blobs;                         /* -1 if there is none */
    struct ocigc_ahead *ahead;         /* contents that were read by others; usually NULL */
    struct ocigc_archive *archive;     /* in which all blobs lie; NULL if they are files of the layout */
    struct ocigc_digest_table *tables; /* by name, so that nodes are in the order of their digests' text */
    uint32_t table_count;
    uint32_t table_capacity;
    uint32_t count;
    int64_t began;  /* when the scan began */
    int32_t detail; /* enum ocigc_scan_detail */
    struct ocigc_status_table status;
    struct ocigc_inode *inodes;
    uint32_t inode_count;
    uint32_t inode_capacity;
    uint32_t *by_inode; /* all nodes by the inodes of their files, once that was needed; usually NULL */
    uint64_t foreign_count;
    char **foreign;
    uint32_t foreign_kept;
    uint32_t foreign_capacity;
    struct ocigc_graph *graph;
};

/* Where the digest of a node is. */
struct ocigc_place {
    const struct ocigc_digest_table *table;
    uint32_t position;
};
struct ocigc_place ocigc_store_place(const ocigc_store *store, uint32_t node);

/* The inode of a node that has several links, else NULL. */
const struct ocigc_inode *ocigc_store_shared_inode(const ocigc_store *store, uint32_t node);

/* The table of an algorithm's directory, or NULL. */
const struct ocigc_digest_table *ocigc_store_table(const ocigc_store *store, const char *name, size_t length);

/* ocigc_store_find for a digest that has been parsed. `prefetch`, called some time before, hides the wait for memory.
 */
uint32_t ocigc_store_find_digest(const ocigc_store *store, const struct ocigc_digest *digest, const char *text,
                                 size_t length);
void ocigc_store_prefetch(const ocigc_store *store, const struct ocigc_digest *digest);

/* Adds a file below blobs/ that is not a blob. false: no memory. */
bool ocigc_store_keep_foreign(ocigc_store *store, const char *directory, const char *name);

/* The node whose label file has this name in the directory labels/<alg>, or UINT32_MAX. */
uint32_t ocigc_label_file_node(const struct ocigc_digest_table *table, const char *name);

#endif
