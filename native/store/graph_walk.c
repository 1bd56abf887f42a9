/* graph_walk.c - an image's own blobs, in the order in which moby visits them. */
#include "store/graph_walk.h"

#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

static bool is_child(int32_t media, int32_t role)
{
    if (media == OCIGC_MEDIA_MANIFEST)
        return role == OCIGC_ROLE_CONFIG || role == OCIGC_ROLE_LAYER;
    return media == OCIGC_MEDIA_INDEX && role == OCIGC_ROLE_MANIFEST;
}

void ocigc_walk_free(struct ocigc_walk *walk)
{
    free(walk->stack.items);
    free(walk->medias);
    ocigc_node_set_free(&walk->seen);
}

bool ocigc_visits_push(struct ocigc_visits *stack, struct ocigc_visit visit)
{
    if (!ocigc_reserve(&stack->items, &stack->capacity, stack->count, 1, sizeof *stack->items))
        return false;
    stack->items[stack->count++] = visit;
    return true;
}

/* The last child first, so that the first is visited next. */
bool ocigc_visits_push_children(struct ocigc_visits *stack, const struct ocigc_graph *graph, struct ocigc_visit visit)
{
    if (visit.media != OCIGC_MEDIA_MANIFEST && visit.media != OCIGC_MEDIA_INDEX)
        return true; /* most are layers: their edges need not be looked up */
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, visit.node);
    for (uint32_t i = edges.count; i-- > 0;) {
        if (edges.targets[i] == UINT32_MAX || !is_child(visit.media, ocigc_edge_role(edges.kinds[i])))
            continue;
        struct ocigc_visit child = {edges.targets[i], ocigc_edge_media(edges.kinds[i])};
        if (!ocigc_visits_push(stack, child))
            return false;
        if (child.media == OCIGC_MEDIA_MANIFEST)
            __builtin_prefetch(&graph->expansions[child.node]);
    }
    return true;
}

void ocigc_walk_prefetch(const struct ocigc_graph *graph, const uint32_t *nodes, size_t next, size_t count)
{
    if (next + OCIGC_NODES_AHEAD < count && nodes[next + OCIGC_NODES_AHEAD] != UINT32_MAX)
        __builtin_prefetch(&graph->expansions[nodes[next + OCIGC_NODES_AHEAD]]);
    if (next + OCIGC_EDGES_AHEAD < count && nodes[next + OCIGC_EDGES_AHEAD] != UINT32_MAX)
        ocigc_graph_prefetch_edges(graph, nodes[next + OCIGC_EDGES_AHEAD]);
}

bool ocigc_walk_from(struct ocigc_walk *walk, const struct ocigc_graph *graph, uint32_t node, int32_t media)
{
    ocigc_node_set_clear(&walk->seen);
    walk->stack.count = 0;
    bool ok = ocigc_visits_push(&walk->stack, (struct ocigc_visit){node, media});
    while (ok && walk->stack.count > 0) {
        struct ocigc_visit visit = walk->stack.items[--walk->stack.count];
        int new = ocigc_node_set_add(&walk->seen, visit.node);
        if (new == 0)
            continue;
        ok = new == 1 && ocigc_reserve(&walk->medias, &walk->capacity, walk->seen.count - 1, 1, sizeof *walk->medias);
        if (!ok)
            break;
        walk->medias[walk->seen.count - 1] = visit.media;
        ok = ocigc_visits_push_children(&walk->stack, graph, visit);
    }
    return ok;
}

int32_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                         size_t capacity, size_t *count, struct ocigc_error *error)
{
    struct ocigc_walk walk = {0};
    bool ok = ocigc_walk_from(&walk, store->graph, node, media);
    *count = walk.seen.count;
    size_t written = ok && capacity < *count ? capacity : ok ? *count : 0;
    if (written > 0) {
        memcpy(nodes, walk.seen.nodes, written * sizeof *nodes);
        memcpy(medias, walk.medias, written * sizeof *medias);
    }
    ocigc_walk_free(&walk);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

/* Calls `visit` with each of many walks. */
static int32_t walk_each(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, size_t count,
                         void (*visit)(void *context, const struct ocigc_walk *walk, size_t number), void *context,
                         struct ocigc_error *error)
{
    struct ocigc_walk walk = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ocigc_walk_prefetch(store->graph, nodes, i, count);
        if (nodes[i] == UINT32_MAX)
            ocigc_node_set_clear(&walk.seen);
        else
            ok = ocigc_walk_from(&walk, store->graph, nodes[i], medias[i]);
        if (ok)
            visit(context, &walk, i);
    }
    ocigc_walk_free(&walk);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

struct owned {
    const uint32_t *owner_of; /* each node */
    const uint32_t *owners;   /* of each walk */
    const uint8_t *among;
    uint32_t *out;
    uint8_t *as;
    uint32_t *ends;
    uint32_t count;
};

static void list_owned(void *context, const struct ocigc_walk *walk, size_t number)
{
    struct owned *owned = context;
    for (uint32_t i = 0; i < walk->seen.count; i++) {
        uint32_t node = walk->seen.nodes[i];
        if (owned->owner_of[node] != owned->owners[number] || !owned->among[node])
            continue;
        owned->out[owned->count] = node;
        owned->as[owned->count++] = (uint8_t)walk->medias[i];
    }
    owned->ends[number] = owned->count;
}

int32_t ocigc_graph_walk_owned(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias,
                               const uint32_t *owners, size_t count, const uint8_t *among, uint32_t *out, uint8_t *as,
                               uint32_t *ends, struct ocigc_error *error)
{
    struct owned owned = {store->graph->owners, owners, among, out, as, ends, 0};
    return walk_each(store, nodes, medias, count, list_owned, &owned, error);
}

struct visited {
    int32_t media;
    uint8_t *flags;
};

static void flag_visited(void *context, const struct ocigc_walk *walk, size_t number)
{
    const struct visited *visited = context;
    (void)number;
    for (uint32_t i = 0; i < walk->seen.count; i++)
        if (walk->medias[i] == visited->media)
            visited->flags[walk->seen.nodes[i]] = 1;
}

int32_t ocigc_graph_walked_as(const ocigc_store *store, const uint32_t *nodes, const uint8_t *medias, size_t count,
                              int32_t media, uint8_t *flags, struct ocigc_error *error)
{
    struct visited visited = {media, flags};
    return walk_each(store, nodes, medias, count, flag_visited, &visited, error);
}
