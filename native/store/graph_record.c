/* graph_record.c - what an expansion records instead of stopping: faults, missing blobs, wrong sizes; and what it has
 * found sound. */
#include "base/vector.h"
#include "digest/xxh3.h"
#include "store/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ocigc_graph_record(ocigc_store *store, int32_t what)
{
    struct ocigc_graph *graph = store->graph;
    graph->record = what;
    if (what & OCIGC_RECORD_DESCRIPTORS && graph->sound == NULL) /* without memory, it is hashed twice */
        graph->sound = calloc((size_t)store->count + 1, sizeof *graph->sound);
}

void ocigc_graph_set_sound(struct ocigc_graph *graph, uint32_t node, const void *content, size_t length)
{
    graph->sound[node] = ocigc_xxh3(content, length);
}

bool ocigc_graph_is_sound(const struct ocigc_graph *graph, uint32_t node, struct ocigc_checksum *checksum)
{
    *checksum = graph->sound != NULL ? graph->sound[node] : (struct ocigc_checksum){0, 0};
    return checksum->low != 0 || checksum->high != 0;
}

bool ocigc_graph_add_fault(struct ocigc_graph *graph, uint32_t node, const struct ocigc_error *error)
{
    if (!ocigc_reserve(&graph->faults, &graph->fault_capacity, graph->fault_count, 1, sizeof *graph->faults))
        return false;
    char *message = strdup(error->message);
    if (message == NULL)
        return false;
    graph->faults[graph->fault_count++] = (struct ocigc_fault){
        .node = node,
        .code = error->code,
        .os_errno = error->os_errno,
        .offset = error->offset,
        .message = message,
    };
    return true;
}

bool ocigc_graph_add_missing(struct ocigc_graph *graph, const struct ocigc_missing *missing, const char *digest)
{
    uint32_t length = missing->digest.length;
    if (!ocigc_reserve(&graph->missing, &graph->missing_capacity, graph->missing_count, 1, sizeof *graph->missing) ||
        !ocigc_reserve(&graph->missing_text, &graph->missing_text_capacity, graph->missing_text_length, length, 1))
        return false;
    struct ocigc_missing *kept = &graph->missing[graph->missing_count++];
    *kept = *missing;
    kept->digest.start = graph->missing_text_length;
    memcpy(graph->missing_text + graph->missing_text_length, digest, length);
    graph->missing_text_length += length;
    return true;
}

bool ocigc_graph_add_wrong_size(struct ocigc_graph *graph, uint32_t node)
{
    if (!ocigc_reserve(&graph->wrong_sizes, &graph->wrong_size_capacity, graph->wrong_size_count, 1,
                       sizeof *graph->wrong_sizes))
        return false;
    graph->wrong_sizes[graph->wrong_size_count++] = node;
    return true;
}

static int by_node(const void *left, const void *right)
{
    const struct ocigc_fault *a = left, *b = right;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return strcmp(a->message, b->message);
}

static int compare_digests(struct ocigc_span a, struct ocigc_span b, const char *text)
{
    int order = memcmp(text + a.start, text + b.start, a.length < b.length ? a.length : b.length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_digest(const void *left, const void *right, void *text)
{
    const struct ocigc_missing *a = left, *b = right;
    int order = compare_digests(a->digest, b->digest, text);
    if (order != 0)
        return order;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    if (a->media != b->media)
        return a->media < b->media ? -1 : 1;
    return (a->is_foreign > b->is_foreign) - (a->is_foreign < b->is_foreign);
}

static void sort_missing(struct ocigc_graph *graph)
{
    uint32_t kept = 0;
    if (graph->missing_count > 0)
        qsort_r(graph->missing, graph->missing_count, sizeof *graph->missing, by_digest, graph->missing_text);
    for (uint32_t i = 0; i < graph->missing_count; i++)
        if (kept == 0 || by_digest(&graph->missing[kept - 1], &graph->missing[i], graph->missing_text) != 0)
            graph->missing[kept++] = graph->missing[i];
    graph->missing_count = kept;
}

void ocigc_graph_sort_records(struct ocigc_graph *graph)
{
    if (graph->fault_count > 0)
        qsort(graph->faults, graph->fault_count, sizeof *graph->faults, by_node);
    sort_missing(graph);
    uint32_t kept = 0;
    if (graph->wrong_size_count > 0)
        qsort(graph->wrong_sizes, graph->wrong_size_count, sizeof *graph->wrong_sizes, ocigc_by_number);
    for (uint32_t i = 0; i < graph->wrong_size_count; i++)
        if (kept == 0 || graph->wrong_sizes[kept - 1] != graph->wrong_sizes[i])
            graph->wrong_sizes[kept++] = graph->wrong_sizes[i];
    graph->wrong_size_count = kept;
}

size_t ocigc_graph_fault_count(const ocigc_store *store)
{
    return store->graph->fault_count;
}

uint32_t ocigc_graph_fault(const ocigc_store *store, size_t index, struct ocigc_error *out)
{
    const struct ocigc_fault *fault = &store->graph->faults[index];
    *out = (struct ocigc_error){.code = fault->code, .os_errno = fault->os_errno, .offset = fault->offset};
    snprintf(out->message, sizeof out->message, "%s", fault->message);
    return fault->node;
}

const struct ocigc_missing *ocigc_graph_missing(const ocigc_store *store, uint32_t *count, const char **text)
{
    *count = store->graph->missing_count;
    *text = store->graph->missing_text;
    return store->graph->missing;
}

size_t ocigc_graph_wrong_sizes(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    return ocigc_list(store->graph->wrong_sizes, store->graph->wrong_size_count, out, capacity);
}
