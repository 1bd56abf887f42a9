/* graph.h - the insides of the graph of what refers to what, for the parts that make it up.
 *
 * Edges stand in two flat arrays; an expansion is a run of them, that of one node. Per node: 2 bytes of flags, 4 for
 * its expansion, 4 for its holder. Per edge: 5 bytes, and 8 more for one from a referrer to its subject. */
#ifndef OCIGC_STORE_GRAPH_H
#define OCIGC_STORE_GRAPH_H

#include "store/store.h"

/* Flags of a node. A claim says how its content is to be read; REACHED stands for all claims that read nothing, and
 * comes with every other. A claim is taken once its work has begun. */
enum {
    OCIGC_NODE_REACHED = 1 << 0,
    OCIGC_NODE_MANIFEST = 1 << 1,
    OCIGC_NODE_INDEX = 1 << 2,
    OCIGC_NODE_JSON = 1 << 3,
    OCIGC_NODE_NONE = 1 << 4,
    OCIGC_NODE_CLAIMS = 0x1f,
    OCIGC_NODE_TAKEN_SHIFT = 5,
    OCIGC_NODE_VERIFIED = 1 << 10,
    OCIGC_NODE_LEADS_ON = 1 << 11, /* has labels that are edges, or referrers */
    OCIGC_NODE_FLAT = 1 << 12,     /* held, but open to walks */
    OCIGC_NODE_SEARCHED = 1 << 13,
    /* What a sniffed referrer is to be claimed as once its subject is reached; 0: it is no referrer. */
    OCIGC_NODE_SHAPE_SHIFT = 14,
};

struct ocigc_fault {
    uint32_t node;
    int32_t code;
    int32_t os_errno;
    uint64_t offset;
    char *message;
};

struct ocigc_graph {
    uint16_t *flags;
    uint32_t *owners;
    uint32_t *expansions; /* of each node; number 0 is empty */

    uint32_t *first; /* the edges of expansion e are first[e] .. first[e + 1] - 1 */
    uint32_t expansion_count;
    uint32_t expansion_capacity;
    uint32_t *targets; /* UINT32_MAX: not present */
    uint8_t *kinds;
    uint32_t edge_count;
    uint32_t target_capacity;
    uint32_t kind_capacity;

    uint64_t *referrers; /* subject << 32 | referrer */
    uint32_t referrer_count;
    uint32_t referrer_capacity;
    uint32_t referrers_sorted; /* how many of them, from the first on, are in order */

    uint32_t *queue; /* nodes with claims that are not taken */
    uint32_t queue_count;
    uint32_t queue_capacity;
    uint32_t *pending; /* those of them that wait for a voucher */
    uint32_t pending_count;
    uint32_t pending_capacity;

    uint32_t *label_roots;
    uint32_t label_root_count;
    uint32_t label_root_capacity;

    bool record;
    struct ocigc_fault *faults;
    uint32_t fault_count;
    uint32_t fault_capacity;
    char **missing;
    uint32_t missing_count;
    uint32_t missing_capacity;
    uint32_t *wrong_sizes;
    uint32_t wrong_size_count;
    uint32_t wrong_size_capacity;
};

/* What an edge is, in a byte: its role and its descriptor's media. */
static inline uint8_t ocigc_kind_of_edge(int32_t role, int32_t media)
{
    return (uint8_t)(role | media << 4);
}

static inline int32_t ocigc_edge_role(uint8_t kind)
{
    return kind & 15;
}

static inline int32_t ocigc_edge_media(uint8_t kind)
{
    return kind >> 4;
}

struct ocigc_edges {
    const uint32_t *targets;
    const uint8_t *kinds;
    uint32_t count;
};

struct ocigc_graph *ocigc_graph_new(uint32_t nodes);
void ocigc_graph_free(struct ocigc_graph *graph);

struct ocigc_edges ocigc_graph_edges_of(const struct ocigc_graph *graph, uint32_t node);
/* Adds edges behind those that a node has. false: no memory. */
bool ocigc_graph_add_edges(struct ocigc_graph *graph, uint32_t node, const uint32_t *targets, const uint8_t *kinds,
                           uint32_t count);

/* Many threads may claim at once. The claims that are new by it. */
static inline uint32_t ocigc_graph_set_flags(struct ocigc_graph *graph, uint32_t node, uint32_t flags)
{
    uint16_t before = __atomic_fetch_or(&graph->flags[node], (uint16_t)flags, __ATOMIC_RELAXED);
    return flags & ~(uint32_t)before;
}

static inline void ocigc_graph_clear_flags(struct ocigc_graph *graph, uint32_t node, uint32_t flags)
{
    __atomic_fetch_and(&graph->flags[node], (uint16_t)~flags, __ATOMIC_RELAXED);
}

static inline uint32_t ocigc_graph_flags(const struct ocigc_graph *graph, uint32_t node)
{
    return __atomic_load_n(&graph->flags[node], __ATOMIC_RELAXED);
}

/* The claim that a media type makes; without REACHED. */
uint32_t ocigc_claim_of(int32_t media);
/* The claim on a sniffed referrer whose subject is reached; 0 where a node is none. */
uint32_t ocigc_graph_referrer_claim(const struct ocigc_graph *graph, uint32_t node);
/* Makes a claim; whether the node has to be queued for it. */
bool ocigc_graph_claim(struct ocigc_graph *graph, uint32_t node, uint32_t claim);

/* Notes that whoever holds the subject holds the referrer. */
bool ocigc_referrers_add(struct ocigc_graph *graph, uint32_t subject, uint32_t referrer);
void ocigc_referrers_sort(struct ocigc_graph *graph);
/* Of the sorted ones: where those of a subject begin. */
uint32_t ocigc_referrers_first(const struct ocigc_graph *graph, uint32_t subject);

static inline uint32_t ocigc_subject_of(uint64_t pair)
{
    return (uint32_t)(pair >> 32);
}

static inline uint32_t ocigc_referrer_of(uint64_t pair)
{
    return (uint32_t)pair;
}

bool ocigc_graph_queue(struct ocigc_graph *graph, uint32_t node);
/* Works off the queue, level by level. */
int32_t ocigc_graph_expand_queue(ocigc_store *store, uint32_t threads, struct ocigc_progress *progress,
                                 struct ocigc_error *error);

/* What ocigc_graph_record wants known. Texts are copied. */
bool ocigc_graph_add_fault(struct ocigc_graph *graph, uint32_t node, const struct ocigc_error *error);
bool ocigc_graph_add_missing(struct ocigc_graph *graph, const char *digest, uint32_t length);
bool ocigc_graph_add_wrong_size(struct ocigc_graph *graph, uint32_t node);
/* Sorts all three, each once. */
void ocigc_graph_sort_records(struct ocigc_graph *graph);

/* Copies as many of `count` nodes as fit into `out`; returns `count`. */
size_t ocigc_list(const uint32_t *nodes, uint32_t count, uint32_t *out, size_t capacity);

int ocigc_by_number(const void *left, const void *right); /* uint32_t, for qsort */

#endif
