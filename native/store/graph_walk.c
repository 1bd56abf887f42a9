/* graph_walk.c - an image's own blobs, in the order in which moby visits them. */
#include "base/vector.h"
#include "store/graph.h"
#include "store/node_set.h"

#include <stdlib.h>

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

/* The last child first, so that the first is visited next. */
static bool push_children(struct visits *stack, const struct ocigc_graph *graph, struct visit visit)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, visit.node);
    for (uint32_t i = edges.count; i-- > 0;) {
        if (edges.targets[i] == UINT32_MAX || !is_child(visit.media, ocigc_edge_role(edges.kinds[i])))
            continue;
        if (!ocigc_reserve(&stack->items, &stack->capacity, stack->count, 1, sizeof *stack->items))
            return false;
        stack->items[stack->count++] = (struct visit){edges.targets[i], ocigc_edge_media(edges.kinds[i])};
    }
    return true;
}

int32_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                         size_t capacity, size_t *count, struct ocigc_error *error)
{
    struct visit first = {node, media};
    struct visits stack = {0};
    /* An image is small and a store is large: a bit per node of the store would cost more than all else. */
    struct ocigc_node_set seen = {0};
    bool ok = ocigc_reserve(&stack.items, &stack.capacity, 0, 1, sizeof *stack.items);
    if (ok)
        stack.items[stack.count++] = first;
    while (ok && stack.count > 0) {
        struct visit visit = stack.items[--stack.count];
        int new = ocigc_node_set_add(&seen, visit.node);
        ok = new >= 0;
        if (new != 1)
            continue;
        if (seen.count <= capacity) {
            nodes[seen.count - 1] = visit.node;
            medias[seen.count - 1] = visit.media;
        }
        ok = push_children(&stack, store->graph, visit);
    }
    *count = seen.count;
    free(stack.items);
    ocigc_node_set_free(&seen);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}
