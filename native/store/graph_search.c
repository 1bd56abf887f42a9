/* graph_search.c - referrers that nothing refers to: JSON with a `subject` among the blobs that nothing has reached. */
#include "base/vector.h"
#include "store/content.h"
#include "store/disk_order.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/parallel.h"
#include "json/document.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { SHARE = 256 }; /* nodes that a thread takes at a time, if they are in memory */

struct search {
    ocigc_store *store;
    struct ocigc_graph *graph;
    int64_t newer_than;
    uint32_t *nodes; /* that nothing has reached, ascending */
    uint32_t *order; /* in which they are read; NULL: in that of nodes */
    uint32_t count;
    uint32_t next;
    uint32_t share;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* guards the graph's referrers, queue and faults, and what follows */
    int32_t code;
    uint32_t failed; /* the least node that failed */
    struct ocigc_error error;
};

/* What one blob is. */
struct finding {
    const ocigc_store *store;
    uint32_t subject; /* the first that is present */
    bool is_json;
    bool is_newer;
};

static bool is_candidate(const struct search *search, uint32_t node)
{
    return (ocigc_graph_flags(search->graph, node) & (OCIGC_NODE_REACHED | OCIGC_NODE_SEARCHED)) == 0;
}

/* Usually there are only a few. false: no memory. */
static bool list_candidates(struct search *search)
{
    uint32_t capacity = 0;
    for (uint32_t node = 0; node < search->store->count; node++) {
        if (!is_candidate(search, node))
            continue;
        if (!ocigc_reserve(&search->nodes, &capacity, search->count, 1, sizeof *search->nodes)) {
            free(search->nodes);
            return false;
        }
        search->nodes[search->count++] = node;
    }
    return true;
}

static int add_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    struct finding *finding = context;
    if (found->role == OCIGC_ROLE_SUBJECT && finding->subject == UINT32_MAX)
        finding->subject = ocigc_store_find_digest(finding->store, &found->binary, found->digest, found->digest_length);
    return 0;
}

static int32_t parse(struct search *search, struct ocigc_content *content, struct finding *finding,
                     struct ocigc_error *error)
{
    bool may_be = false;
    int32_t shape;
    if (content->blob.status.st_size == 0 || ocigc_content_is_out_of_reach(content))
        return OCIGC_OK;
    int32_t code = ocigc_content_may_be_object(content, &may_be, error);
    if (code != OCIGC_OK || !may_be)
        return code;
    code = ocigc_content_load(content, error);
    if (code != OCIGC_OK)
        return code;
    ocigc_progress_add(search->progress, 0, content->buffer->length);
    code = ocigc_document_scan(content->buffer->bytes, content->buffer->length, OCIGC_MEDIA_NONE, add_descriptor,
                               finding, &shape, error);
    finding->is_json = code == OCIGC_OK;
    return code == OCIGC_MALFORMED ? OCIGC_OK : code;
}

/* With the lock. false: no memory. */
static bool take_finding(struct search *search, uint32_t node, const struct finding *finding)
{
    if (finding->subject != UINT32_MAX && !ocigc_referrers_add(search->graph, finding->subject, node))
        return false;
    if (!finding->is_newer)
        return true;
    return !ocigc_graph_claim(search->graph, node, OCIGC_NODE_LENIENT) || ocigc_graph_queue(search->graph, node);
}

static int32_t search_node(struct search *search, uint32_t node, struct ocigc_opened *opened,
                           struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    struct ocigc_content content;
    struct finding finding = {search->store, UINT32_MAX, false, false};
    int32_t code = ocigc_content_open(&content, search->store, node, opened, buffer, error);
    if (code == OCIGC_SYSTEM && error->os_errno == ENOENT)
        return OCIGC_OK; /* it is gone */
    if (code != OCIGC_OK)
        return code;
    ocigc_content_keep_status(&content, search->store);
    finding.is_newer = ocigc_stamp(&content.blob.status) > search->newer_than;
    code = parse(search, &content, &finding, error);
    ocigc_content_close(&content);
    if (code != OCIGC_OK)
        return code;
    ocigc_graph_set_flags(search->graph, node, OCIGC_NODE_SEARCHED);
    if (!finding.is_json)
        return OCIGC_OK;
    pthread_mutex_lock(&search->lock);
    bool ok = take_finding(search, node, &finding);
    pthread_mutex_unlock(&search->lock);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

static void take_failure(struct search *search, uint32_t node, const struct ocigc_error *error)
{
    pthread_mutex_lock(&search->lock);
    /* A blob that nothing reaches may refer to one that stays, so only a check of everything goes on without it. */
    bool is_fault = search->graph->record & OCIGC_RECORD_DESCRIPTORS && error->code != OCIGC_NO_MEMORY &&
                    error->code != OCIGC_CANCELLED;
    bool recorded = is_fault && ocigc_graph_add_fault(search->graph, node, error);
    if (!recorded && (search->code == OCIGC_OK || node < search->failed)) {
        search->code = error->code;
        search->failed = node;
        search->error = *error;
    }
    pthread_mutex_unlock(&search->lock);
}

static uint32_t node_at(const struct search *search, uint32_t place)
{
    return search->nodes[search->order != NULL ? search->order[place] : place];
}

static void search_nodes(void *context)
{
    struct search *search = context;
    struct ocigc_opened opened = {.count = 0};
    struct ocigc_buffer buffer = {0};
    struct ocigc_error error;
    uint32_t count = search->count, first;
    while ((first = __atomic_fetch_add(&search->next, search->share, __ATOMIC_RELAXED)) < count) {
        uint32_t end = count - first < search->share ? count : first + search->share;
        ocigc_opened_close(&opened);
        for (uint32_t i = first; search->order != NULL && i < end; i++)
            ocigc_opened_add(&opened, search->store, node_at(search, i));
        for (uint32_t i = first; i < end; i++)
            if (search_node(search, node_at(search, i), &opened, &buffer, &error) != OCIGC_OK)
                take_failure(search, node_at(search, i), &error);
        ocigc_progress_add(search->progress, end - first, 0);
        if (ocigc_cancelled(search->progress)) {
            ocigc_fail(&error, OCIGC_CANCELLED, "cancelled");
            take_failure(search, 0, &error);
            break;
        }
    }
    ocigc_opened_close(&opened);
    ocigc_buffer_free(&buffer);
}

/* Claims the referrers of all that is reached. The queue then adds the referrers of what these reach. */
static bool claim_referrers(struct ocigc_graph *graph)
{
    for (uint32_t i = 0; i < graph->referrers_sorted; i++) {
        uint32_t subject = ocigc_subject_of(graph->referrers[i]), referrer = ocigc_referrer_of(graph->referrers[i]);
        uint32_t claim = ocigc_graph_referrer_claim(graph, referrer);
        if (claim != 0 && ocigc_graph_flags(graph, subject) & OCIGC_NODE_REACHED &&
            ocigc_graph_claim(graph, referrer, claim) && !ocigc_graph_queue(graph, referrer))
            return false;
    }
    return true;
}

int32_t ocigc_graph_find_referrers(ocigc_store *store, int64_t newer_than, uint32_t threads,
                                   struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct search search = {.store = store, .graph = store->graph, .newer_than = newer_than, .progress = progress};
    if (!list_candidates(&search))
        return ocigc_fail_memory(error);
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, search.count, __ATOMIC_RELAXED);
    search.order = ocigc_disk_order(store, search.nodes, search.count);
    search.share = search.order != NULL ? ocigc_cold_share() : SHARE;
    threads = ocigc_thread_count(threads);
    uint32_t most = search.order != NULL ? OCIGC_COLD_THREADS : threads, useful = search.count / search.share + 1;
    pthread_mutex_init(&search.lock, NULL);
    ocigc_parallel(useful < most ? useful : most, search_nodes, &search);
    pthread_mutex_destroy(&search.lock);
    free(search.nodes);
    free(search.order);
    if (search.code != OCIGC_OK) {
        if (error != NULL)
            *error = search.error;
        return search.code;
    }
    ocigc_referrers_sort(store->graph);
    if (!claim_referrers(store->graph))
        return ocigc_fail_memory(error);
    return ocigc_graph_expand_queue(store, threads, progress, error);
}
