/* graph_walk.c - an image's own blobs, in the order in which moby visits them, and what they come to. */
#include "base/vector.h"
#include "store/graph.h"
#include "store/node_set.h"

#include <stdlib.h>
#include <string.h>

struct visit {
    uint32_t node;
    int32_t media;
};

struct visits {
    struct visit *items;
    uint32_t count;
    uint32_t capacity;
};

static bool is_child(int32_t media, int32_t role)
{
    if (media == OCIGC_MEDIA_MANIFEST)
        return role == OCIGC_ROLE_CONFIG || role == OCIGC_ROLE_LAYER;
    return media == OCIGC_MEDIA_INDEX && role == OCIGC_ROLE_MANIFEST;
}

/* One walk. Its nodes are in the set, in their order; `medias` says as what each is visited. */
struct walk {
    struct visits stack;
    /* An image is small and a store is large: a bit per node of the store would cost more than all else. */
    struct ocigc_node_set seen;
    int32_t *medias;
    uint32_t capacity;
};

static void walk_free(struct walk *walk)
{
    free(walk->stack.items);
    free(walk->medias);
    ocigc_node_set_free(&walk->seen);
}

static bool push(struct visits *stack, struct visit visit)
{
    if (!ocigc_reserve(&stack->items, &stack->capacity, stack->count, 1, sizeof *stack->items))
        return false;
    stack->items[stack->count++] = visit;
    return true;
}

/* The last child first, so that the first is visited next. */
static bool push_children(struct visits *stack, const struct ocigc_graph *graph, struct visit visit)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, visit.node);
    for (uint32_t i = edges.count; i-- > 0;) {
        if (edges.targets[i] == UINT32_MAX || !is_child(visit.media, ocigc_edge_role(edges.kinds[i])))
            continue;
        if (!push(stack, (struct visit){edges.targets[i], ocigc_edge_media(edges.kinds[i])}))
            return false;
    }
    return true;
}

/* Walks from a node, and forgets the walk before. false: no memory. */
static bool walk_from(struct walk *walk, const struct ocigc_graph *graph, uint32_t node, int32_t media)
{
    ocigc_node_set_clear(&walk->seen);
    walk->stack.count = 0;
    bool ok = push(&walk->stack, (struct visit){node, media});
    while (ok && walk->stack.count > 0) {
        struct visit visit = walk->stack.items[--walk->stack.count];
        int new = ocigc_node_set_add(&walk->seen, visit.node);
        if (new == 0)
            continue;
        ok = new == 1 && ocigc_reserve(&walk->medias, &walk->capacity, walk->seen.count - 1, 1, sizeof *walk->medias);
        if (!ok)
            break;
        walk->medias[walk->seen.count - 1] = visit.media;
        ok = push_children(&walk->stack, graph, visit);
    }
    return ok;
}

int32_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                         size_t capacity, size_t *count, struct ocigc_error *error)
{
    struct walk walk = {0};
    bool ok = walk_from(&walk, store->graph, node, media);
    *count = walk.seen.count;
    size_t written = ok && capacity < *count ? capacity : ok ? *count : 0;
    if (written > 0) {
        memcpy(nodes, walk.seen.nodes, written * sizeof *nodes);
        memcpy(medias, walk.medias, written * sizeof *medias);
    }
    walk_free(&walk);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

/* The nodes of a group are those of its walks; `groups_of` counts, up to 2, the groups that have a node. */
struct census {
    const ocigc_store *store;
    struct walk walk;
    uint32_t *last; /* the last group, from 1, that had the node */
    uint8_t *groups_of;
    const uint8_t *flags;
};

static void count_node(struct census *census, uint32_t node)
{
    census->groups_of[node] += census->groups_of[node] < 2;
}

static void add_node(struct census *census, uint32_t node, struct ocigc_usage *usage)
{
    uint64_t size = ocigc_store_size(census->store, node);
    uint32_t flags = census->flags == NULL ? 0 : census->flags[node];
    usage->size += size;
    usage->shared += census->groups_of[node] > 1 ? size : 0;
    usage->flagged += (flags & 1) != 0 ? size : 0;
    usage->flags |= flags;
}

/* Looks at every node of every group once: counts it, or with `out` adds it up. false: no memory. */
static bool census_pass(struct census *census, const uint32_t *roots, const uint8_t *medias, const uint32_t *ends,
                        size_t groups, struct ocigc_usage *out)
{
    uint32_t root = 0;
    memset(census->last, 0, census->store->count * sizeof *census->last);
    for (uint32_t group = 0; group < groups; group++) {
        if (out != NULL)
            out[group] = (struct ocigc_usage){0};
        for (; root < ends[group]; root++) {
            if (roots[root] == UINT32_MAX)
                continue;
            if (!walk_from(&census->walk, census->store->graph, roots[root], medias[root]))
                return false;
            for (uint32_t i = 0; i < census->walk.seen.count; i++) {
                uint32_t node = census->walk.seen.nodes[i];
                if (census->last[node] == group + 1)
                    continue;
                census->last[node] = group + 1;
                if (out == NULL)
                    count_node(census, node);
                else
                    add_node(census, node, &out[group]);
            }
        }
    }
    return true;
}

int32_t ocigc_graph_usage(const ocigc_store *store, const uint32_t *roots, const uint8_t *medias, const uint32_t *ends,
                          size_t groups, const uint8_t *flags, struct ocigc_usage *out, struct ocigc_error *error)
{
    struct census census = {
        .store = store,
        .last = malloc((store->count + 1) * sizeof *census.last),
        .groups_of = calloc(store->count + 1, sizeof *census.groups_of),
        .flags = flags,
    };
    bool ok = census.last != NULL && census.groups_of != NULL &&
              census_pass(&census, roots, medias, ends, groups, NULL) &&
              census_pass(&census, roots, medias, ends, groups, out);
    walk_free(&census.walk);
    free(census.last);
    free(census.groups_of);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}
