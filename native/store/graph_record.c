/* graph_record.c - what verify wants to know of the walk: faults, missing blobs, wrong sizes. */
#include "base/vector.h"
#include "store/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ocigc_graph_record(ocigc_store *store)
{
    store->graph->record = true;
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

bool ocigc_graph_add_missing(struct ocigc_graph *graph, const char *digest, uint32_t length)
{
    if (!ocigc_reserve(&graph->missing, &graph->missing_capacity, graph->missing_count, 1, sizeof *graph->missing))
        return false;
    char *copy = strndup(digest, length);
    if (copy == NULL)
        return false;
    graph->missing[graph->missing_count++] = copy;
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

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void ocigc_graph_sort_records(struct ocigc_graph *graph)
{
    if (graph->fault_count > 0)
        qsort(graph->faults, graph->fault_count, sizeof *graph->faults, by_node);
    uint32_t kept = 0;
    if (graph->missing_count > 0)
        qsort(graph->missing, graph->missing_count, sizeof *graph->missing, by_text);
    for (uint32_t i = 0; i < graph->missing_count; i++) {
        if (kept > 0 && strcmp(graph->missing[kept - 1], graph->missing[i]) == 0)
            free(graph->missing[i]);
        else
            graph->missing[kept++] = graph->missing[i];
    }
    graph->missing_count = kept;
    kept = 0;
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

size_t ocigc_graph_missing_count(const ocigc_store *store)
{
    return store->graph->missing_count;
}

const char *ocigc_graph_missing(const ocigc_store *store, size_t index)
{
    return store->graph->missing[index];
}

size_t ocigc_graph_wrong_sizes(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    return ocigc_list(store->graph->wrong_sizes, store->graph->wrong_size_count, out, capacity);
}
