/* graph_sniff.c - referrers that nothing names: blobs that nothing has reached, but that are JSON with a `subject`. */
#include "json/document.h"
#include "store/content.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/parallel.h"

#include <errno.h>
#include <pthread.h>

enum { SHARE = 1024 }; /* nodes that a thread takes at a time */

struct sniff {
    ocigc_store *store;
    struct ocigc_graph *graph;
    int64_t young_after;
    uint32_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of the graph's referrers, queue and faults, and of what follows */
    int32_t code;
    uint32_t failed; /* the least node that failed */
    struct ocigc_error error;
};

static bool is_candidate(const struct sniff *sniff, uint32_t node)
{
    return (ocigc_graph_flags(sniff->graph, node) & (OCIGC_NODE_REACHED | OCIGC_NODE_SNIFFED)) == 0;
}

struct search {
    const ocigc_store *store;
    uint32_t subject; /* the first that is present */
    int64_t stamp;
    bool is_json;
};

static int take_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    struct search *search = context;
    if (found->role == OCIGC_ROLE_SUBJECT && search->subject == UINT32_MAX)
        search->subject = ocigc_store_find_digest(search->store, &found->binary, found->digest, found->digest_length);
    return 0;
}

/* What ocigc_graph_sniffed_claim reads. An artifact manifest, say, has neither form, and is looked into leniently. */
static uint32_t shape_flags(int32_t shape)
{
    uint32_t number = shape == OCIGC_SHAPE_MANIFEST ? 1 : shape == OCIGC_SHAPE_INDEX ? 2 : 3;
    return number << OCIGC_NODE_SHAPE_SHIFT;
}

static int32_t look_for_subject(struct sniff *sniff, struct ocigc_content *content, struct search *search,
                                int32_t *shape, struct ocigc_error *error)
{
    enum ocigc_look look;
    int32_t code = ocigc_content_look(content, &look, error);
    if (code != OCIGC_OK || look != OCIGC_LOOKS_JSON || ocigc_content_is_over_limit(content))
        return code;
    code = ocigc_content_load(content, error);
    if (code != OCIGC_OK)
        return code;
    ocigc_progress_add(sniff->progress, 0, content->buffer->length);
    if (ocigc_document_scan(content->buffer->bytes, content->buffer->length, OCIGC_MEDIA_NONE, take_descriptor, search,
                            shape, error) != OCIGC_OK)
        search->subject = UINT32_MAX;
    else
        search->is_json = true;
    return OCIGC_OK;
}

/* With the lock held: what was found out about a node. */
static bool settle(struct sniff *sniff, uint32_t node, const struct search *search)
{
    if (search->subject != UINT32_MAX && !ocigc_graph_add_referrer(sniff->graph, search->subject, node))
        return false;
    if (!search->is_json || search->stamp <= sniff->young_after)
        return true;
    return !ocigc_graph_claim(sniff->graph, node, OCIGC_NODE_JSON) || ocigc_graph_queue(sniff->graph, node);
}

static int32_t sniff_node(struct sniff *sniff, uint32_t node, struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    struct ocigc_content content;
    struct search search = {sniff->store, UINT32_MAX, INT64_MIN, false};
    int32_t shape = OCIGC_SHAPE_NONE;
    int32_t code = ocigc_content_open(&content, sniff->store, node, buffer, error);
    if (code == OCIGC_SYSTEM && error->os_errno == ENOENT)
        return OCIGC_OK; /* what is gone refers to nothing */
    if (code != OCIGC_OK)
        return code;
    search.stamp = ocigc_stamp(&content.status);
    if (content.status.st_size > 0 && content.status.st_size <= OCIGC_MANIFEST_LIMIT)
        code = look_for_subject(sniff, &content, &search, &shape, error);
    ocigc_content_close(&content);
    if (code != OCIGC_OK)
        return code;
    ocigc_graph_mark(sniff->graph, node, OCIGC_NODE_SNIFFED);
    if (!search.is_json)
        return OCIGC_OK;
    if (search.subject != UINT32_MAX)
        ocigc_graph_mark(sniff->graph, node, shape_flags(shape));
    pthread_mutex_lock(&sniff->lock);
    bool well = settle(sniff, node, &search);
    pthread_mutex_unlock(&sniff->lock);
    return well ? OCIGC_OK : ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
}

static void take_failure(struct sniff *sniff, uint32_t node, const struct ocigc_error *error)
{
    pthread_mutex_lock(&sniff->lock);
    bool recordable = error->code != OCIGC_NO_MEMORY && error->code != OCIGC_CANCELLED;
    bool recorded = sniff->graph->record && recordable && ocigc_graph_add_fault(sniff->graph, node, error);
    if (!recorded && (sniff->code == OCIGC_OK || node < sniff->failed)) {
        sniff->code = error->code;
        sniff->failed = node;
        sniff->error = *error;
    }
    pthread_mutex_unlock(&sniff->lock);
}

static void sniff_nodes(void *context)
{
    struct sniff *sniff = context;
    struct ocigc_buffer buffer = {0};
    struct ocigc_error error;
    uint32_t count = sniff->store->count, first;
    while ((first = __atomic_fetch_add(&sniff->next, SHARE, __ATOMIC_RELAXED)) < count) {
        uint32_t end = count - first < SHARE ? count : first + SHARE;
        for (uint32_t node = first; node < end; node++)
            if (is_candidate(sniff, node) && sniff_node(sniff, node, &buffer, &error) != OCIGC_OK)
                take_failure(sniff, node, &error);
        ocigc_progress_add(sniff->progress, end - first, 0);
        if (ocigc_cancelled(sniff->progress)) {
            ocigc_fail(&error, OCIGC_CANCELLED, "cancelled");
            take_failure(sniff, 0, &error);
            break;
        }
    }
    ocigc_buffer_free(&buffer);
}

/* Claims the referrers of all that is reached. Those of what is reached through them follow with the queue. */
static bool claim_referrers(struct ocigc_graph *graph)
{
    for (uint32_t i = 0; i < graph->referrers_sorted; i++) {
        uint32_t referrer = ocigc_referrer_of(graph->referrers[i]);
        uint32_t kind = ocigc_graph_sniffed_claim(graph, referrer);
        if (kind != 0 && graph->flags[ocigc_subject_of(graph->referrers[i])] & OCIGC_NODE_REACHED &&
            ocigc_graph_claim(graph, referrer, kind) && !ocigc_graph_queue(graph, referrer))
            return false;
    }
    return true;
}

int32_t ocigc_graph_sniff(ocigc_store *store, int64_t young_after, uint32_t threads, struct ocigc_progress *progress,
                          struct ocigc_error *error)
{
    struct sniff sniff = {.store = store, .graph = store->graph, .young_after = young_after, .progress = progress};
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, store->count, __ATOMIC_RELAXED);
    pthread_mutex_init(&sniff.lock, NULL);
    uint32_t useful = store->count / SHARE + 1;
    threads = ocigc_thread_count(threads);
    ocigc_parallel(useful < threads ? useful : threads, sniff_nodes, &sniff);
    pthread_mutex_destroy(&sniff.lock);
    if (sniff.code != OCIGC_OK) {
        if (error != NULL)
            *error = sniff.error;
        return sniff.code;
    }
    ocigc_graph_sort_referrers(store->graph);
    if (!claim_referrers(store->graph))
        return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
    return ocigc_graph_expand_queue(store, threads, progress, error);
}
