/* graph.c - nodes, edges, claims and referrers. */
#include "store/graph.h"

#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

struct ocigc_graph *ocigc_graph_new(uint32_t nodes)
{
    struct ocigc_graph *graph = calloc(1, sizeof *graph);
    if (graph == NULL)
        return NULL;
    /* calloc's pages cost nothing until they are written. */
    graph->flags = calloc((size_t)nodes + 1, sizeof *graph->flags);
    graph->owners = calloc((size_t)nodes + 1, sizeof *graph->owners);
    graph->expansions = calloc((size_t)nodes + 1, sizeof *graph->expansions);
    bool room = ocigc_reserve(&graph->first, &graph->expansion_capacity, 0, 2, sizeof *graph->first);
    if (graph->flags == NULL || graph->owners == NULL || graph->expansions == NULL || !room) {
        ocigc_graph_free(graph);
        return NULL;
    }
    graph->first[0] = graph->first[1] = 0;
    graph->expansion_count = 1;
    return graph;
}

void ocigc_graph_free(struct ocigc_graph *graph)
{
    if (graph == NULL)
        return;
    free(graph->flags);
    free(graph->owners);
    free(graph->expansions);
    free(graph->first);
    free(graph->targets);
    free(graph->kinds);
    free(graph->referrers);
    free(graph->queue);
    free(graph->pending);
    free(graph->labels);
    free(graph->label_text);
    for (uint32_t i = 0; i < graph->fault_count; i++)
        free(graph->faults[i].message);
    free(graph->faults);
    free(graph->missing);
    free(graph->missing_text);
    free(graph->wrong_sizes);
    free(graph->sound);
    free(graph);
}

int32_t ocigc_graph_clear(ocigc_store *store, struct ocigc_error *error)
{
    struct ocigc_graph *empty = ocigc_graph_new(store->count);
    if (empty == NULL)
        return ocigc_fail_memory(error);
    ocigc_graph_free(store->graph);
    store->graph = empty;
    return OCIGC_OK;
}

struct ocigc_edges ocigc_graph_edges_of(const struct ocigc_graph *graph, uint32_t node)
{
    uint32_t expansion = graph->expansions[node];
    uint32_t first = graph->first[expansion], count = graph->first[expansion + 1] - first;
    if (count == 0)
        return (struct ocigc_edges){0};
    return (struct ocigc_edges){graph->targets + first, graph->kinds + first, count};
}

static bool reserve_edges(struct ocigc_graph *graph, uint32_t more)
{
    return ocigc_reserve(&graph->targets, &graph->target_capacity, graph->edge_count, more, sizeof *graph->targets) &&
           ocigc_reserve(&graph->kinds, &graph->kind_capacity, graph->edge_count, more, sizeof *graph->kinds);
}

static void push_edges(struct ocigc_graph *graph, struct ocigc_edges edges)
{
    if (edges.count == 0)
        return;
    memcpy(graph->targets + graph->edge_count, edges.targets, edges.count * sizeof *edges.targets);
    memcpy(graph->kinds + graph->edge_count, edges.kinds, edges.count * sizeof *edges.kinds);
    graph->edge_count += edges.count;
}

bool ocigc_graph_add_edges(struct ocigc_graph *graph, uint32_t node, const uint32_t *targets, const uint8_t *kinds,
                           uint32_t count)
{
    if (count == 0)
        return true;
    /* If a node has edges already (it is claimed in two ways, or has labels), they are copied into a new run. */
    uint32_t before = ocigc_graph_edges_of(graph, node).count;
    if (before > UINT32_MAX - count || !reserve_edges(graph, before + count) ||
        !ocigc_reserve(&graph->first, &graph->expansion_capacity, graph->expansion_count + 1, 1, sizeof *graph->first))
        return false;
    push_edges(graph, ocigc_graph_edges_of(graph, node));
    push_edges(graph, (struct ocigc_edges){targets, kinds, count});
    graph->expansions[node] = graph->expansion_count++;
    graph->first[graph->expansion_count] = graph->edge_count;
    for (uint32_t i = 0; i < count; i++)
        if (ocigc_edge_is_back(kinds[i]) && targets[i] != UINT32_MAX && !ocigc_referrers_add(graph, targets[i], node))
            return false;
    return true;
}

bool ocigc_graph_has_edge(const struct ocigc_graph *graph, uint32_t node, uint32_t target, int32_t role)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
    for (uint32_t i = 0; i < edges.count; i++)
        if (edges.targets[i] == target && ocigc_edge_role(edges.kinds[i]) == role)
            return true;
    return false;
}

uint32_t ocigc_claim_of(int32_t role, int32_t media)
{
    bool is_leaf = role == OCIGC_ROLE_LAYER || role == OCIGC_ROLE_BLOB;
    bool is_any = role == OCIGC_ROLE_CONFIG || role == OCIGC_ROLE_FOUND; /* of which most are leaves */
    switch (media) {
    case OCIGC_MEDIA_MANIFEST:
        return OCIGC_NODE_MANIFEST;
    case OCIGC_MEDIA_INDEX:
        return OCIGC_NODE_INDEX;
    case OCIGC_MEDIA_JSON:
        return is_leaf ? OCIGC_NODE_LENIENT : OCIGC_NODE_JSON;
    case OCIGC_MEDIA_NONE:
        return is_leaf ? OCIGC_NODE_LENIENT : OCIGC_NODE_DETECT;
    case OCIGC_MEDIA_CONFIG:
        return is_leaf || is_any ? 0 : OCIGC_NODE_DETECT;
    case OCIGC_MEDIA_UNKNOWN:
        return is_leaf || role == OCIGC_ROLE_FOUND ? 0 : OCIGC_NODE_DETECT;
    default:
        return 0;
    }
}

uint32_t ocigc_graph_referrer_claim(const struct ocigc_graph *graph, uint32_t referrer)
{
    static const uint32_t verified = OCIGC_NODE_MANIFEST | OCIGC_NODE_INDEX | OCIGC_NODE_DETECT | OCIGC_NODE_JSON;
    return ocigc_graph_flags(graph, referrer) & verified ? 0 : OCIGC_NODE_DETECT;
}

bool ocigc_graph_claim(struct ocigc_graph *graph, uint32_t node, uint32_t claim)
{
    uint32_t new = ocigc_graph_set_flags(graph, node, claim | OCIGC_NODE_REACHED);
    if (new == OCIGC_NODE_REACHED)
        return (ocigc_graph_flags(graph, node) & OCIGC_NODE_LEADS_ON) != 0;
    return new != 0;
}

bool ocigc_referrers_add(struct ocigc_graph *graph, uint32_t subject, uint32_t referrer)
{
    if (!ocigc_reserve(&graph->referrers, &graph->referrer_capacity, graph->referrer_count, 1,
                       sizeof *graph->referrers))
        return false;
    graph->referrers[graph->referrer_count++] = (uint64_t)subject << 32 | referrer;
    ocigc_graph_set_flags(graph, subject, OCIGC_NODE_LEADS_ON);
    return true;
}

static int by_pair(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void ocigc_referrers_sort(struct ocigc_graph *graph)
{
    if (graph->referrers_sorted == graph->referrer_count)
        return;
    qsort(graph->referrers, graph->referrer_count, sizeof *graph->referrers, by_pair);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < graph->referrer_count; i++)
        if (kept == 0 || graph->referrers[kept - 1] != graph->referrers[i])
            graph->referrers[kept++] = graph->referrers[i];
    graph->referrer_count = graph->referrers_sorted = kept;
}

uint32_t ocigc_referrers_first(const struct ocigc_graph *graph, uint32_t subject)
{
    uint32_t low = 0, high = graph->referrers_sorted;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ocigc_subject_of(graph->referrers[middle]) < subject)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t ocigc_graph_add_referrer(ocigc_store *store, uint32_t subject, uint32_t referrer, struct ocigc_error *error)
{
    return ocigc_referrers_add(store->graph, subject, referrer) ? OCIGC_OK : ocigc_fail_memory(error);
}

void ocigc_graph_remove_referrer(ocigc_store *store, uint32_t subject, uint32_t referrer)
{
    struct ocigc_graph *graph = store->graph;
    if (referrer == UINT32_MAX || ocigc_graph_has_edge(graph, referrer, subject, OCIGC_ROLE_BACK))
        return; /* it is absent, or its label keeps it */
    ocigc_referrers_sort(graph);
    uint32_t first = ocigc_referrers_first(graph, subject);
    while (first < graph->referrer_count && graph->referrers[first] < ((uint64_t)subject << 32 | referrer))
        first++;
    if (first == graph->referrer_count || graph->referrers[first] != ((uint64_t)subject << 32 | referrer))
        return;
    memmove(&graph->referrers[first], &graph->referrers[first + 1],
            (graph->referrer_count - first - 1) * sizeof *graph->referrers);
    graph->referrers_sorted = --graph->referrer_count;
}

uint32_t ocigc_graph_subject(const ocigc_store *store, uint32_t node)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(store->graph, node);
    for (uint32_t i = 0; i < edges.count; i++)
        if (ocigc_edge_role(edges.kinds[i]) == OCIGC_ROLE_SUBJECT && edges.targets[i] != UINT32_MAX)
            return edges.targets[i];
    return UINT32_MAX;
}

static uint32_t any_subject(const struct ocigc_graph *graph, uint32_t node)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < edges.count; i++) {
        if (ocigc_edge_role(edges.kinds[i]) != OCIGC_ROLE_SUBJECT)
            continue;
        if (edges.targets[i] != UINT32_MAX)
            return edges.targets[i];
        found = UINT32_MAX - 1;
    }
    return found;
}

size_t ocigc_graph_subjects(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = nodes[i] == UINT32_MAX ? UINT32_MAX : any_subject(store->graph, nodes[i]);
        found += out[i] != UINT32_MAX;
    }
    return found;
}

static void set_bit(uint8_t *bits, uint32_t number)
{
    bits[number / 8] |= (uint8_t)(1 << number % 8);
}

int32_t ocigc_graph_referred(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out,
                             size_t *found, struct ocigc_error *error)
{
    const struct ocigc_graph *graph = store->graph;
    uint8_t *bits = calloc(store->count / 8 + 1, 1);
    if (bits == NULL)
        return ocigc_fail_memory(error);
    for (uint32_t i = 0; i < graph->edge_count; i++)
        if (graph->targets[i] != UINT32_MAX && !ocigc_edge_is_back(graph->kinds[i]))
            set_bit(bits, graph->targets[i]);
    for (uint32_t i = 0; i < graph->referrer_count; i++)
        set_bit(bits, ocigc_referrer_of(graph->referrers[i]));
    *found = 0;
    for (size_t i = 0; i < count; i++)
        if (nodes[i] != UINT32_MAX && bits[nodes[i] / 8] >> nodes[i] % 8 & 1)
            out[(*found)++] = nodes[i];
    free(bits);
    return OCIGC_OK;
}

size_t ocigc_graph_edges(const ocigc_store *store, uint32_t node, uint32_t *targets, int32_t *roles, size_t capacity)
{
    struct ocigc_edges edges = ocigc_graph_edges_of(store->graph, node);
    for (uint32_t i = 0; i < edges.count && i < capacity; i++) {
        targets[i] = edges.targets[i];
        roles[i] = ocigc_edge_role(edges.kinds[i]);
    }
    return edges.count;
}

bool ocigc_graph_queue(struct ocigc_graph *graph, uint32_t node)
{
    if (!ocigc_reserve(&graph->queue, &graph->queue_capacity, graph->queue_count, 1, sizeof *graph->queue))
        return false;
    graph->queue[graph->queue_count++] = node;
    return true;
}

void ocigc_graph_set_verified(ocigc_store *store, uint32_t node)
{
    ocigc_graph_set_flags(store->graph, node, OCIGC_NODE_VERIFIED);
}

size_t ocigc_graph_unverified(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    return ocigc_list(store->graph->pending, store->graph->pending_count, out, capacity);
}

int ocigc_by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

size_t ocigc_list(const uint32_t *nodes, uint32_t count, uint32_t *out, size_t capacity)
{
    size_t written = count < capacity ? count : capacity;
    if (written > 0)
        memcpy(out, nodes, written * sizeof *nodes);
    return count;
}

void ocigc_nodes_at(const uint32_t *nodes, size_t count, const uint32_t *places, size_t place_count, uint32_t *out)
{
    for (size_t i = 0; i < place_count; i++)
        out[i] = places[i] < count ? nodes[places[i]] : UINT32_MAX;
}

size_t ocigc_places_flagged(const uint8_t *flags, size_t count, const uint32_t *places, size_t place_count,
                            uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < place_count; i++)
        if (places[i] < count && flags[places[i]] != 0)
            out[found++] = places[i];
    return found;
}

int32_t ocigc_graph_form(const ocigc_store *store, uint32_t node)
{
    uint32_t taken = ocigc_graph_flags(store->graph, node) >> OCIGC_NODE_TAKEN_SHIFT;
    return taken & OCIGC_NODE_MANIFEST ? OCIGC_MEDIA_MANIFEST
           : taken & OCIGC_NODE_INDEX  ? OCIGC_MEDIA_INDEX
                                       : OCIGC_MEDIA_UNKNOWN;
}
