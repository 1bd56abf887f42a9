/* graph.h - the graph of what refers to what.
 *
 * Edges are in two flat arrays. An expansion is a run of them: the edges of one node. Per node: 2 bytes of flags, 4 for
 * its expansion, 4 for its owner. Per edge: 5 bytes, and 8 more for one that leads back (to a subject). */
#ifndef OCIGC_STORE_GRAPH_H
#define OCIGC_STORE_GRAPH_H

#include "store/store.h"

/* Flags of a node. A claim says how its content is to be read, and is taken once reading has begun. REACHED is a claim
 * that reads nothing; it comes with every other claim. */
enum {
    OCIGC_NODE_REACHED = 1 << 0,
    OCIGC_NODE_MANIFEST = 1 << 1, /* strictly as a manifest */
    OCIGC_NODE_INDEX = 1 << 2,    /* strictly as an index */
    OCIGC_NODE_DETECT = 1 << 3,   /* verified; the content tells what it is */
    OCIGC_NODE_JSON = 1 << 4,     /* verified, then leniently as JSON */
    OCIGC_NODE_LENIENT = 1 << 5,  /* leniently as JSON, whether or not it is sound */
    OCIGC_NODE_CLAIMS = 0x3f,
    OCIGC_NODE_TAKEN_SHIFT = 6,
    OCIGC_NODE_VERIFIED = 1 << 12, /* by the caller */
    OCIGC_NODE_LEADS_ON = 1 << 13, /* has labels that are edges, or referrers */
    OCIGC_NODE_FLAT = 1 << 14,     /* marked, but later groups go on from here */
    OCIGC_NODE_SEARCHED = 1 << 15, /* for a subject */
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
    uint32_t *targets; /* UINT32_MAX: absent */
    uint8_t *kinds;
    uint32_t edge_count;
    uint32_t target_capacity;
    uint32_t kind_capacity;

    uint64_t *referrers; /* subject << 32 | referrer */
    uint32_t referrer_count;
    uint32_t referrer_capacity;
    uint32_t referrers_sorted; /* how many of the first are in order */

    uint32_t *queue; /* nodes with claims that are not taken */
    uint32_t queue_count;
    uint32_t queue_capacity;
    uint32_t *pending; /* nodes that the caller must verify first */
    uint32_t pending_count;
    uint32_t pending_capacity;

    struct ocigc_label *labels;
    uint32_t label_count;
    uint32_t label_capacity;
    char *label_text;
    uint32_t label_text_length;
    uint32_t label_text_capacity;

    int32_t record; /* enum ocigc_record */
    struct ocigc_fault *faults;
    uint32_t fault_count;
    uint32_t fault_capacity;
    struct ocigc_missing *missing;
    uint32_t missing_count;
    uint32_t missing_capacity;
    char *missing_text;
    uint32_t missing_text_length;
    uint32_t missing_text_capacity;
    uint32_t *wrong_sizes;
    uint32_t wrong_size_count;
    uint32_t wrong_size_capacity;
    struct ocigc_checksum *sound; /* by node; 0: unknown. NULL unless descriptors are recorded */
};

/* An edge in a byte: its role and its descriptor's media. */
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

/* Whether an edge leads back: its target keeps its source. */
static inline bool ocigc_edge_is_back(uint8_t kind)
{
    return ocigc_edge_role(kind) == OCIGC_ROLE_SUBJECT || ocigc_edge_role(kind) == OCIGC_ROLE_BACK;
}

struct ocigc_edges {
    const uint32_t *targets;
    const uint8_t *kinds;
    uint32_t count;
};

struct ocigc_graph *ocigc_graph_new(uint32_t nodes);
void ocigc_graph_free(struct ocigc_graph *graph);

struct ocigc_edges ocigc_graph_edges_of(const struct ocigc_graph *graph, uint32_t node);
/* Adds edges to those of a node, and to the referrers those that lead back. false: no memory. */
bool ocigc_graph_add_edges(struct ocigc_graph *graph, uint32_t node, const uint32_t *targets, const uint8_t *kinds,
                           uint32_t count);
/* Whether a node has an edge of this role to the target. */
bool ocigc_graph_has_edge(const struct ocigc_graph *graph, uint32_t node, uint32_t target, int32_t role);

/* Sets flags, from any thread. Returns those that were not set before. */
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

/* Walks of a large graph mostly wait for memory, so what they read soon is requested early: what is kept of a node, and
 * then its edges, once that has arrived. */
enum { OCIGC_NODES_AHEAD = 16, OCIGC_EDGES_AHEAD = 8 };

static inline void ocigc_graph_prefetch_node(const struct ocigc_graph *graph, uint32_t node)
{
    __builtin_prefetch(&graph->owners[node], 1);
    __builtin_prefetch(&graph->flags[node]);
    __builtin_prefetch(&graph->expansions[node]);
}

static inline void ocigc_graph_prefetch_edges(const struct ocigc_graph *graph, uint32_t node)
{
    uint32_t first = graph->first[graph->expansions[node]];
    __builtin_prefetch(graph->targets + first);
    __builtin_prefetch(graph->kinds + first);
}

/* The claim on the target of a descriptor in this role, without REACHED. A root has the role of a manifest. */
uint32_t ocigc_claim_of(int32_t role, int32_t media);
/* Makes a claim. Returns whether the node must be queued for it. */
bool ocigc_graph_claim(struct ocigc_graph *graph, uint32_t node, uint32_t claim);
/* The claim on a referrer whose subject is reached; 0 if it has the right claim already. */
uint32_t ocigc_graph_referrer_claim(const struct ocigc_graph *graph, uint32_t referrer);

/* The referrers of each subject. `sort` drops duplicates; `first` is the first of a subject among the sorted ones. */
bool ocigc_referrers_add(struct ocigc_graph *graph, uint32_t subject, uint32_t referrer);
void ocigc_referrers_sort(struct ocigc_graph *graph);
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
/* Expands all nodes in the queue, level by level. */
int32_t ocigc_graph_expand_queue(ocigc_store *store, uint32_t threads, struct ocigc_progress *progress,
                                 struct ocigc_error *error);

/* Records. Texts are copied. false: no memory. */
bool ocigc_graph_add_fault(struct ocigc_graph *graph, uint32_t node, const struct ocigc_error *error);
bool ocigc_graph_add_missing(struct ocigc_graph *graph, const struct ocigc_missing *missing, const char *digest);
bool ocigc_graph_add_wrong_size(struct ocigc_graph *graph, uint32_t node);
/* Records in `sound`, which must not be NULL, that content is what its digest says: ocigc_verify need not hash it. */
void ocigc_graph_set_sound(struct ocigc_graph *graph, uint32_t node, const void *content, size_t length);
/* Whether that is recorded; the XXH3-128 of the content. */
bool ocigc_graph_is_sound(const struct ocigc_graph *graph, uint32_t node, struct ocigc_checksum *checksum);
/* Sorts all records and drops duplicates. */
void ocigc_graph_sort_records(struct ocigc_graph *graph);

/* Copies as many of `count` nodes as fit into `out`; returns `count`. */
size_t ocigc_list(const uint32_t *nodes, uint32_t count, uint32_t *out, size_t capacity);

int ocigc_by_number(const void *left, const void *right); /* uint32_t, for qsort */

#endif
