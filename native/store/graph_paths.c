/* graph_paths.c - from a blob up to all nodes that reach it, which gives a path from every root down to it. */
#include "store/graph.h"

struct search {
    const struct ocigc_graph *graph;
    uint32_t *next;
    uint8_t *roles;
    bool advanced;
};

/* `node` has an edge to `target`, from which the path down may be known. */
static void prepend(struct search *search, uint32_t node, uint32_t target, int32_t role)
{
    if (search->next[node] != UINT32_MAX || search->next[target] == UINT32_MAX)
        return;
    search->next[node] = target;
    search->roles[node] = (uint8_t)role;
    search->advanced = true;
}

static void prepend_by_edges(struct search *search, uint32_t node)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(search->graph, node);
    for (uint32_t i = 0; i < edges.count; i++)
        if (edges.targets[i] != UINT32_MAX && !ocigc_edge_is_back(edges.kinds[i]))
            prepend(search, node, edges.targets[i], ocigc_edge_role(edges.kinds[i]));
}

/* The role of the edge by which a subject keeps a referrer. */
static int32_t role_of(const struct ocigc_graph *graph, uint32_t subject, uint32_t referrer)
{
    return ocigc_graph_has_edge(graph, referrer, subject, OCIGC_ROLE_BACK) ? OCIGC_ROLE_BACK : OCIGC_ROLE_SUBJECT;
}

void ocigc_graph_paths_to(const ocigc_store *store, uint32_t node, uint32_t *next, uint8_t *roles)
{
    struct search search = {store->graph, next, roles, true};
    for (uint32_t i = 0; i < store->count; i++)
        next[i] = UINT32_MAX;
    next[node] = node;
    /* Each round lengthens every path by at least one edge, and a layout is seldom four edges deep. */
    while (search.advanced) {
        search.advanced = false;
        for (uint32_t i = 0; i < store->count; i++)
            if (next[i] == UINT32_MAX)
                prepend_by_edges(&search, i);
        for (uint32_t i = 0; i < search.graph->referrer_count; i++) {
            uint32_t subject = ocigc_subject_of(search.graph->referrers[i]);
            uint32_t referrer = ocigc_referrer_of(search.graph->referrers[i]);
            prepend(&search, subject, referrer, role_of(search.graph, subject, referrer));
        }
    }
}

size_t ocigc_graph_referrers(const ocigc_store *store, uint32_t node, uint32_t *out, size_t capacity)
{
    const struct ocigc_graph *graph = store->graph;
    size_t count = 0;
    for (uint32_t i = ocigc_referrers_first(graph, node); i < graph->referrer_count; i++) {
        uint32_t referrer = ocigc_referrer_of(graph->referrers[i]);
        if (ocigc_subject_of(graph->referrers[i]) != node) {
            if (i < graph->referrers_sorted)
                i = graph->referrers_sorted - 1; /* the rest are not in order */
            continue;
        }
        if (role_of(graph, node, referrer) == OCIGC_ROLE_BACK)
            continue;
        if (count < capacity)
            out[count] = referrer;
        count++;
    }
    return count;
}

static bool is_incomplete(struct ocigc_edges edges)
{
    for (uint32_t i = 0; i < edges.count; i++)
        if (edges.targets[i] == UINT32_MAX)
            return true;
    return false;
}

size_t ocigc_graph_incomplete(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    size_t count = 0;
    for (uint32_t node = 0; node < store->count; node++) {
        if (!is_incomplete(ocigc_graph_edges_of(store->graph, node)))
            continue;
        if (count < capacity)
            out[count] = node;
        count++;
    }
    return count;
}
