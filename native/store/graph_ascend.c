/* graph_ascend.c - the way up: from a blob to all that holds it, and so every chain from a root down to it. */
#include "store/graph.h"

#include <stdlib.h>

struct ascent {
    const struct ocigc_graph *graph;
    uint32_t *next;
    uint8_t *roles;
    bool moved;
};

/* `holder` holds `held`, from which the way down is known. */
static void climb(struct ascent *ascent, uint32_t holder, uint32_t held, int32_t role)
{
    if (ascent->next[holder] != UINT32_MAX || ascent->next[held] == UINT32_MAX)
        return;
    ascent->next[holder] = held;
    ascent->roles[holder] = (uint8_t)role;
    ascent->moved = true;
}

static void climb_edges(struct ascent *ascent, uint32_t node)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(ascent->graph, node);
    for (uint32_t i = 0; i < edges.count; i++)
        if (edges.targets[i] != UINT32_MAX && ocigc_edge_role(edges.kinds[i]) != OCIGC_ROLE_SUBJECT)
            climb(ascent, node, edges.targets[i], ocigc_edge_role(edges.kinds[i]));
}

void ocigc_graph_ascend(const ocigc_store *store, uint32_t node, uint32_t *next, uint8_t *roles)
{
    struct ascent ascent = {store->graph, next, roles, true};
    for (uint32_t i = 0; i < store->count; i++)
        next[i] = UINT32_MAX;
    next[node] = node;
    /* Each round climbs at least one step on every way, and a layout is seldom four steps deep. */
    while (ascent.moved) {
        ascent.moved = false;
        for (uint32_t i = 0; i < store->count; i++)
            if (next[i] == UINT32_MAX)
                climb_edges(&ascent, i);
        for (uint32_t i = 0; i < ascent.graph->referrer_count; i++) {
            uint64_t referrer = ascent.graph->referrers[i];
            climb(&ascent, ocigc_subject_of(referrer), ocigc_referrer_of(referrer), OCIGC_ROLE_SUBJECT);
        }
    }
}

size_t ocigc_graph_referrers(const ocigc_store *store, uint32_t node, uint32_t *out, size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < store->graph->referrer_count; i++) {
        if (ocigc_subject_of(store->graph->referrers[i]) != node)
            continue;
        if (count < capacity)
            out[count] = ocigc_referrer_of(store->graph->referrers[i]);
        count++;
    }
    return count;
}

size_t ocigc_graph_lacking(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    size_t count = 0;
    for (uint32_t node = 0; node < store->count; node++) {
        struct ocigc_edges edges = ocigc_graph_edges_of(store->graph, node);
        uint32_t i = 0;
        while (i < edges.count && edges.targets[i] != UINT32_MAX)
            i++;
        if (i == edges.count)
            continue;
        if (count < capacity)
            out[count] = node;
        count++;
    }
    return count;
}
