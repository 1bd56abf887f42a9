/* graph_walk.c - an image's own blobs, in the order in which moby visits them. */
#include "common/vector.h"
#include "store/graph.h"

#include <stdlib.h>

/* The nodes seen so far: open addressing over a power of two, at most half full. An image is small and a store large,
 * so a bit a node of the store would cost more than all else. */
struct seen {
    uint32_t *slots; /* a node + 1; 0: free */
    uint32_t count;
    uint32_t size;
};

static uint32_t *slot_of(const struct seen *seen, uint32_t node)
{
    uint32_t mask = seen->size - 1;
    uint32_t slot = (uint32_t)(node * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (seen->slots[slot] != 0 && seen->slots[slot] != node + 1)
        slot = (slot + 1) & mask;
    return &seen->slots[slot];
}

static bool grow(struct seen *seen)
{
    struct seen larger = {.size = seen->size == 0 ? 64 : 2 * seen->size, .count = seen->count};
    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < seen->size; i++)
        if (seen->slots[i] != 0)
            *slot_of(&larger, seen->slots[i] - 1) = seen->slots[i];
    free(seen->slots);
    *seen = larger;
    return true;
}

/* 1: new; 0: seen before; -1: no memory. */
static int see(struct seen *seen, uint32_t node)
{
    if (seen->count >= seen->size / 2 && !grow(seen))
        return -1;
    uint32_t *slot = slot_of(seen, node);
    if (*slot != 0)
        return 0;
    *slot = node + 1;
    seen->count++;
    return 1;
}

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

size_t ocigc_graph_walk(const ocigc_store *store, uint32_t node, int32_t media, uint32_t *nodes, int32_t *medias,
                        size_t capacity)
{
    struct visit first = {node, media};
    struct visits stack = {0};
    struct seen seen = {0};
    size_t count = 0;
    bool well = ocigc_reserve(&stack.items, &stack.capacity, 0, 1, sizeof *stack.items);
    if (well)
        stack.items[stack.count++] = first;
    while (well && stack.count > 0) {
        struct visit visit = stack.items[--stack.count];
        int new = see(&seen, visit.node);
        well = new >= 0;
        if (new != 1)
            continue;
        if (count < capacity) {
            nodes[count] = visit.node;
            medias[count] = visit.media;
        }
        count++;
        well = push_children(&stack, store->graph, visit);
    }
    free(stack.items);
    free(seen.slots);
    return well ? count : SIZE_MAX;
}
