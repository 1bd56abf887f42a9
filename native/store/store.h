/* store.h - the insides of ocigc_store, for the parts that make it up. */
#ifndef OCIGC_STORE_STORE_H
#define OCIGC_STORE_STORE_H

#include "store/segment.h"
#include "store/table.h"

#include <pthread.h>
#include <sys/stat.h>

/* A blob's inode, where that has other names too or is large. */
struct ocigc_link {
    uint64_t inode;
    uint64_t size;
    int64_t modified;
    uint32_t device; /* the kernel's own dev_t has 32 bits */
    uint32_t names;
};

struct ocigc_graph;

struct ocigc_store {
    int layout;
    int blobs; /* -1 where there is none */
    struct ocigc_segment *segments; /* by name, so that nodes are in the order of their digests' text */
    uint32_t segment_count;
    uint32_t segment_capacity;
    uint32_t count;
    int64_t began; /* when the scan did */
    int32_t depth; /* enum ocigc_depth of the scan */
    struct ocigc_facts_table facts;
    struct ocigc_link *links;
    uint32_t link_count;
    uint32_t link_capacity;
    uint64_t foreign_count;
    char **foreign;
    uint32_t foreign_kept;
    uint32_t foreign_capacity;
    struct ocigc_graph *graph;
};

/* Where a node stands. */
struct ocigc_place {
    const struct ocigc_segment *segment;
    uint32_t position;
};
struct ocigc_place ocigc_store_place(const ocigc_store *store, uint32_t node);

/* The inode of a node where it has other names too, else NULL. */
const struct ocigc_link *ocigc_store_link(const ocigc_store *store, uint32_t node);

/* The segment of an algorithm's directory, or NULL. */
const struct ocigc_segment *ocigc_store_segment(const ocigc_store *store, const char *name, size_t length);

/* ocigc_store_find for a digest that has been read. What it needs to know comes out of memory sooner where it has been
 * sought before. */
uint32_t ocigc_store_find_digest(const ocigc_store *store, const struct ocigc_digest *digest, const char *text,
                                 size_t length);
void ocigc_store_seek(const ocigc_store *store, const struct ocigc_digest *digest);

/* The node whose sidecar has this name in the segment's directory of labels, or UINT32_MAX. */
uint32_t ocigc_sidecar_node(const struct ocigc_segment *segment, const char *name);

#endif
