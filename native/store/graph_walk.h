/* graph_walk.h - a walk: an image's own blobs, in the order in which moby visits them. */
#ifndef OCIGC_STORE_GRAPH_WALK_H
#define OCIGC_STORE_GRAPH_WALK_H

#include "store/graph.h"
#include "store/node_set.h"

struct ocigc_visit {
    uint32_t node;
    int32_t media;
};

struct ocigc_visits {
    struct ocigc_visit *items;
    uint32_t count;
    uint32_t capacity;
};

/* The nodes that a walk has still to visit: a stack. false: no memory. */
bool ocigc_visits_push(struct ocigc_visits *stack, struct ocigc_visit visit);
bool ocigc_visits_push_children(struct ocigc_visits *stack, const struct ocigc_graph *graph, struct ocigc_visit visit);

/* A walk; zeroed, there is none yet. Its nodes are in the set, in their order; `medias` has what each is read as. */
struct ocigc_walk {
    struct ocigc_visits stack;
    /* An image is small and a store is large, so a bit per node of the store would cost more than everything else. */
    struct ocigc_node_set seen;
    int32_t *medias;
    uint32_t capacity;
};

void ocigc_walk_free(struct ocigc_walk *walk);
/* Walks from a node, and forgets the previous walk. false: no memory. */
bool ocigc_walk_from(struct ocigc_walk *walk, const struct ocigc_graph *graph, uint32_t node, int32_t media);

/* Before the walk from `nodes[next]`: requests the beginnings of some later walks. UINT32_MAX walks nowhere. */
void ocigc_walk_prefetch(const struct ocigc_graph *graph, const uint32_t *nodes, size_t next, size_t count);

#endif
