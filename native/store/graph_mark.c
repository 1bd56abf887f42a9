/* graph_mark.c - the mark: what the roots reach, and which root reached it first. */
#include "base/vector.h"
#include "store/graph.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct ocigc_graph *graph;
    uint32_t owner;
    bool flat; /* what is reached now is not followed forward */
    bool forward;
    uint32_t *stack; /* marked, but not followed yet */
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
    if (graph->owners[node] != 0 && (walk->flat || !was_flat))
        return true;
    if (graph->owners[node] == 0)
        graph->owners[node] = walk->owner;
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

static void prefetch(const struct ocigc_graph *graph, uint32_t node)
{
    if (node != UINT32_MAX)
        ocigc_graph_prefetch_node(graph, node);
}

static bool follow(struct walk *walk, uint32_t node)
{
    const struct ocigc_graph *graph = walk->graph;
    if ((graph->flags[node] & OCIGC_NODE_FLAT) == 0) {
        struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
        for (uint32_t i = 0; i < edges.count && i < OCIGC_NODES_AHEAD; i++)
            prefetch(graph, edges.targets[i]);
        for (uint32_t i = 0; i < edges.count; i++) {
            if (i + OCIGC_NODES_AHEAD < edges.count)
                prefetch(graph, edges.targets[i + OCIGC_NODES_AHEAD]);
            if (edges.targets[i] != UINT32_MAX && !ocigc_edge_is_back(edges.kinds[i]) && !reach(walk, edges.targets[i]))
                return false;
        }
    }
    if (walk->forward || (graph->flags[node] & OCIGC_NODE_LEADS_ON) == 0)
        return true;
    for (uint32_t i = ocigc_referrers_first(graph, node);
         i < graph->referrers_sorted && ocigc_subject_of(graph->referrers[i]) == node; i++)
        if (!reach(walk, ocigc_referrer_of(graph->referrers[i])))
            return false;
    return true;
}

static bool mark_from(struct walk *walk, uint32_t root, bool flat)
{
    walk->flat = flat;
    bool ok = reach(walk, root);
    walk->flat = false; /* its referrers are whole */
    while (ok && walk->count > 0)
        ok = follow(walk, walk->stack[--walk->count]);
    return ok;
}

int32_t ocigc_graph_mark(ocigc_store *store, const uint32_t *roots, const uint32_t *ends, const uint8_t *reach,
                         size_t groups, uint32_t first, struct ocigc_error *error)
{
    struct walk walk = {.graph = store->graph};
    ocigc_referrers_sort(store->graph);
    bool ok = true;
    uint32_t root = 0, count = groups > 0 ? ends[groups - 1] : 0;
    for (size_t i = 0; ok && i < groups; i++) {
        walk.owner = first + (uint32_t)i;
        walk.forward = reach[i] == OCIGC_REACH_FORWARD;
        for (; ok && root < ends[i]; root++) {
            if (root + OCIGC_NODES_AHEAD < count)
                ocigc_graph_prefetch_node(walk.graph, roots[root + OCIGC_NODES_AHEAD]);
            if (root + OCIGC_EDGES_AHEAD < count)
                ocigc_graph_prefetch_edges(walk.graph, roots[root + OCIGC_EDGES_AHEAD]);
            ok = mark_from(&walk, roots[root], reach[i] == OCIGC_REACH_FLAT);
        }
    }
    free(walk.stack);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

void ocigc_graph_unmark(ocigc_store *store)
{
    struct ocigc_graph *graph = store->graph;
    memset(graph->owners, 0, store->count * sizeof *graph->owners);
    for (uint32_t node = 0; node < store->count; node++)
        graph->flags[node] &= (uint16_t)~OCIGC_NODE_FLAT;
}

const uint32_t *ocigc_graph_owners(const ocigc_store *store)
{
    return store->graph->owners;
}

size_t ocigc_graph_owned(const ocigc_store *store, uint32_t low, uint32_t high, uint32_t *out, size_t capacity)
{
    const uint32_t *owners = store->graph->owners;
    size_t found = 0;
    for (uint32_t node = 0; node < store->count; node++) {
        if (owners[node] < low || owners[node] > high)
            continue;
        if (found < capacity)
            out[found] = node;
        found++;
    }
    return found;
}
