/* graph_hold.c - who holds what. */
#include "common/vector.h"
#include "store/graph.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct ocigc_graph *graph;
    uint32_t holder;
    bool flat;
    uint32_t *stack; /* held now, and not yet followed */
    uint32_t count;
    uint32_t capacity;
};

static bool leads_on(const struct ocigc_graph *graph, uint32_t node)
{
    return graph->expansions[node] != 0 || (graph->flags[node] & OCIGC_NODE_LEADS_ON) != 0;
}

static bool reach(struct walk *walk, uint32_t node)
{
    struct ocigc_graph *graph = walk->graph;
    bool was_flat = (graph->flags[node] & OCIGC_NODE_FLAT) != 0;
    if (graph->holders[node] != 0 && (walk->flat || !was_flat))
        return true;
    if (graph->holders[node] == 0)
        graph->holders[node] = walk->holder;
    if (walk->flat)
        graph->flags[node] |= OCIGC_NODE_FLAT;
    else
        graph->flags[node] &= (uint16_t)~OCIGC_NODE_FLAT;
    if (!leads_on(graph, node))
        return true;
    if (!ocigc_reserve(&walk->stack, &walk->capacity, walk->count, 1, sizeof *walk->stack))
        return false;
    walk->stack[walk->count++] = node;
    return true;
}

static bool follow(struct walk *walk, uint32_t node)
{
    const struct ocigc_graph *graph = walk->graph;
    if (!walk->flat) {
        struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
        for (uint32_t i = 0; i < edges.count; i++)
            if (edges.targets[i] != UINT32_MAX && ocigc_edge_role(edges.kinds[i]) != OCIGC_ROLE_SUBJECT &&
                !reach(walk, edges.targets[i]))
                return false;
    }
    if ((graph->flags[node] & OCIGC_NODE_LEADS_ON) == 0)
        return true;
    for (uint32_t i = ocigc_graph_first_referrer(graph, node);
         i < graph->referrers_sorted && ocigc_subject_of(graph->referrers[i]) == node; i++)
        if (!reach(walk, ocigc_referrer_of(graph->referrers[i])))
            return false;
    return true;
}

static bool hold(struct walk *walk, uint32_t root)
{
    bool well = reach(walk, root);
    while (well && walk->count > 0)
        well = follow(walk, walk->stack[--walk->count]);
    return well;
}

int32_t ocigc_graph_hold(ocigc_store *store, const uint32_t *roots, const uint32_t *ends, const uint8_t *flat,
                         size_t groups, uint32_t first)
{
    struct walk walk = {.graph = store->graph};
    ocigc_graph_sort_referrers(store->graph);
    bool well = true;
    uint32_t root = 0;
    for (size_t i = 0; well && i < groups; i++) {
        walk.holder = first + (uint32_t)i;
        walk.flat = flat[i] != 0;
        for (; well && root < ends[i]; root++)
            well = hold(&walk, roots[root]);
    }
    free(walk.stack);
    return well ? OCIGC_OK : OCIGC_NO_MEMORY;
}

void ocigc_graph_release(ocigc_store *store)
{
    struct ocigc_graph *graph = store->graph;
    memset(graph->holders, 0, store->count * sizeof *graph->holders);
    for (uint32_t node = 0; node < store->count; node++)
        graph->flags[node] &= (uint16_t)~OCIGC_NODE_FLAT;
}

const uint32_t *ocigc_graph_holders(const ocigc_store *store)
{
    return store->graph->holders;
}

size_t ocigc_graph_held(const ocigc_store *store, uint32_t low, uint32_t high, uint32_t *out, size_t capacity)
{
    const uint32_t *holders = store->graph->holders;
    size_t found = 0;
    for (uint32_t node = 0; node < store->count; node++) {
        if (holders[node] < low || holders[node] > high)
            continue;
        if (found < capacity)
            out[found] = node;
        found++;
    }
    return found;
}
