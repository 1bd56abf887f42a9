/* graph_expand.c - from roots to all that they reach: what is claimed to be a manifest, an index or JSON is read, level
 * by level, on several threads. Each thread works off a few nodes at a time and then hands over what it has found; what
 * is claimed meanwhile waits for the next level, so that results do not depend on how many threads there are. */
#include "base/vector.h"
#include "json/document.h"
#include "store/content.h"
#include "store/graph.h"
#include "store/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARE = 32,          /* tasks that a thread takes at a time */
    TASKS_A_THREAD = 16, /* fewer are not worth starting one for */
};

/* A node with the claims to be worked off in this level; none are left once that is done. */
struct task {
    uint32_t node;
    uint32_t claims;
};

/* One level, shared by the threads. */
struct level {
    ocigc_store *store;
    struct ocigc_graph *graph;
    struct task *tasks;
    uint32_t count;
    uint32_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of the graph's arrays, and of what follows */
    int32_t code;
    uint32_t failed; /* the least node that failed: its error is the one reported */
    struct ocigc_error error;
};

/* The edges that one task has found: a run in the reader's arrays. */
struct found {
    uint32_t node;
    uint32_t count;
};

/* What the last edge leads to, looked up once the next descriptor is there: until then it comes out of memory. */
struct lookup {
    struct ocigc_digest digest;
    char text[OCIGC_DIGEST_TEXT_MAX];
    uint32_t length;
    int64_t size; /* as the descriptor says; -1: it does not */
    bool open;
};

struct reader {
    struct level *level;
    struct ocigc_buffer buffer;
    struct lookup lookup;
    uint32_t *targets;
    uint8_t *kinds;
    uint32_t edge_count, target_capacity, kind_capacity;
    struct found found[SHARE];
    uint32_t found_count;
    uint32_t *queue;
    uint32_t queue_count, queue_capacity;
    /* For the record: */
    char **missing;
    uint32_t missing_count, missing_capacity;
    uint32_t *wrong_sizes;
    uint32_t wrong_size_count, wrong_size_capacity;
    bool no_memory;
};

/* ------------------------------------------------------------------ claims */

static bool claim(struct reader *reader, uint32_t node, uint32_t kind)
{
    if (!ocigc_graph_claim(reader->level->graph, node, kind))
        return true;
    if (!ocigc_reserve(&reader->queue, &reader->queue_capacity, reader->queue_count, 1, sizeof *reader->queue))
        return false;
    reader->queue[reader->queue_count++] = node;
    return true;
}

static bool claim_edges(struct reader *reader, uint32_t first)
{
    for (uint32_t i = first; i < reader->edge_count; i++)
        if (reader->targets[i] != UINT32_MAX && ocigc_edge_role(reader->kinds[i]) != OCIGC_ROLE_SUBJECT &&
            !claim(reader, reader->targets[i], ocigc_claim_of(ocigc_edge_media(reader->kinds[i]))))
            return false;
    return true;
}

/* A node that is reached for the first time brings what its labels name and what sniffing found to refer to it. */
static bool claim_linked(struct reader *reader, uint32_t node)
{
    const struct ocigc_graph *graph = reader->level->graph;
    bool ok = true;
    pthread_mutex_lock(&reader->level->lock);
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
    for (uint32_t i = 0; ok && i < edges.count; i++)
        if (ocigc_edge_role(edges.kinds[i]) == OCIGC_ROLE_LABEL)
            ok = claim(reader, edges.targets[i], OCIGC_NODE_NONE);
    for (uint32_t i = ocigc_referrers_first(graph, node);
         ok && i < graph->referrers_sorted && ocigc_subject_of(graph->referrers[i]) == node; i++) {
        uint32_t referrer = ocigc_referrer_of(graph->referrers[i]);
        uint32_t kind = ocigc_graph_referrer_claim(graph, referrer);
        if (kind != 0)
            ok = claim(reader, referrer, kind);
    }
    pthread_mutex_unlock(&reader->level->lock);
    return ok;
}

/* --------------------------------------------------------------- documents */

static bool record_missing(struct reader *reader)
{
    if (!ocigc_reserve(&reader->missing, &reader->missing_capacity, reader->missing_count, 1, sizeof *reader->missing))
        return false;
    reader->missing[reader->missing_count] = strndup(reader->lookup.text, reader->lookup.length);
    return reader->missing[reader->missing_count++] != NULL;
}

static bool record_wrong_size(struct reader *reader, uint32_t node)
{
    if (!ocigc_reserve(&reader->wrong_sizes, &reader->wrong_size_capacity, reader->wrong_size_count, 1,
                       sizeof *reader->wrong_sizes))
        return false;
    reader->wrong_sizes[reader->wrong_size_count++] = node;
    return true;
}

/* Looks up what is lookup. false: no memory. */
static bool finish_lookup(struct reader *reader)
{
    struct lookup *lookup = &reader->lookup;
    const ocigc_store *store = reader->level->store;
    if (!lookup->open)
        return true;
    lookup->open = false;
    uint32_t target = ocigc_store_find_digest(store, &lookup->digest, lookup->text, lookup->length);
    reader->targets[reader->edge_count - 1] = target;
    if (!reader->level->graph->record)
        return true;
    if (target == UINT32_MAX)
        return record_missing(reader);
    bool wrong = lookup->size >= 0 && (uint64_t)lookup->size != ocigc_store_size(store, target);
    return !wrong || record_wrong_size(reader, target);
}

static int add_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    struct reader *reader = context;
    bool ok = finish_lookup(reader);
    uint32_t count = reader->edge_count;
    ok = ok && ocigc_reserve(&reader->targets, &reader->target_capacity, count, 1, sizeof *reader->targets) &&
           ocigc_reserve(&reader->kinds, &reader->kind_capacity, count, 1, sizeof *reader->kinds);
    if (ok) {
        ocigc_store_prefetch(reader->level->store, &found->binary);
        reader->lookup = (struct lookup){found->binary, .length = found->digest_length, .size = found->size, .open = true};
        memcpy(reader->lookup.text, found->digest, found->digest_length);
        reader->targets[count] = UINT32_MAX;
        reader->kinds[count] = ocigc_kind_of_edge(found->role, found->media);
        reader->edge_count++;
    }
    reader->no_memory |= !ok;
    return ok ? 0 : -1;
}

/* Brings the edges from `first` on, which stand as in the document, into the order of their roles. */
static bool order_by_role(struct reader *reader, uint32_t first)
{
    uint32_t end = reader->edge_count, count = end - first;
    uint32_t i = first + 1;
    while (i < end && ocigc_edge_role(reader->kinds[i - 1]) <= ocigc_edge_role(reader->kinds[i]))
        i++;
    if (i >= end)
        return true;
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, end, count, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, end, count, sizeof *reader->kinds))
        return false;
    uint32_t place = end;
    for (int32_t role = OCIGC_ROLE_CONFIG; role <= OCIGC_ROLE_LABEL; role++) {
        for (i = first; i < end; i++) {
            if (ocigc_edge_role(reader->kinds[i]) != role)
                continue;
            reader->targets[place] = reader->targets[i];
            reader->kinds[place++] = reader->kinds[i];
        }
    }
    memmove(reader->targets + first, reader->targets + end, count * sizeof *reader->targets);
    memmove(reader->kinds + first, reader->kinds + end, count * sizeof *reader->kinds);
    return true;
}

/* Parses what the buffer holds, and claims what it refers to. Of a document that is malformed nothing stays. */
static int32_t parse(struct reader *reader, int32_t media, int32_t *shape, struct ocigc_error *error)
{
    uint32_t first = reader->edge_count, missing = reader->missing_count, wrong_sizes = reader->wrong_size_count;
    int32_t code = ocigc_document_scan(reader->buffer.bytes, reader->buffer.length, media, add_descriptor, reader,
                                       shape, error);
    if (code == OCIGC_OK) {
        bool ok = finish_lookup(reader) && order_by_role(reader, first) && claim_edges(reader, first);
        return ok ? OCIGC_OK : ocigc_fail_memory(error);
    }
    reader->lookup.open = false;
    while (reader->missing_count > missing)
        free(reader->missing[--reader->missing_count]);
    reader->edge_count = first;
    reader->wrong_size_count = wrong_sizes;
    return reader->no_memory ? ocigc_fail_memory(error) : code;
}

static int32_t fail_at(const struct ocigc_content *content, int32_t media, struct ocigc_error *error)
{
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
    const char *what = media == OCIGC_MEDIA_INDEX ? "index" : "manifest";
    struct ocigc_error cause = *error;
    ocigc_store_digest(content->store, content->node, digest);
    ocigc_fail(error, cause.code, "%s %s: %s", what, digest, cause.message);
    error->offset = cause.offset;
    return error->code;
}

static int32_t expand_strict(struct reader *reader, struct ocigc_content *content, int32_t media,
                             struct ocigc_error *error)
{
    bool verified = (ocigc_graph_flags(reader->level->graph, content->node) & OCIGC_NODE_VERIFIED) != 0;
    int32_t shape;
    if (ocigc_content_is_over_limit(content)) {
        ocigc_fail(error, OCIGC_MALFORMED, "over %u MiB", OCIGC_MANIFEST_LIMIT >> 20);
        return fail_at(content, media, error);
    }
    int32_t code = ocigc_content_load(content, error);
    if (code == OCIGC_OK)
        code = ocigc_content_check(content, verified, error);
    if (code != OCIGC_OK)
        return code;
    code = parse(reader, media, &shape, error);
    return code == OCIGC_MALFORMED ? fail_at(content, media, error) : code;
}

/* Edges out of anything that can be parsed, verified or not: keep rather than lose. */
static int32_t expand_lenient(struct reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    int32_t shape;
    if (ocigc_content_is_over_limit(content))
        return OCIGC_OK;
    int32_t code = ocigc_content_load(content, error);
    if (code == OCIGC_OK)
        code = parse(reader, OCIGC_MEDIA_JSON, &shape, error);
    return code == OCIGC_MALFORMED ? OCIGC_OK : code;
}

static int ignore_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    (void)context;
    (void)found;
    return 0;
}

/* Named by digest alone: what it is, its content tells, if that is to be believed. */
static int32_t expand_unknown(struct reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    struct ocigc_graph *graph = reader->level->graph;
    enum ocigc_content_kind kind;
    int32_t code = ocigc_content_guess(content, &kind, error);
    if (code != OCIGC_OK || kind == OCIGC_CONTENT_OTHER || ocigc_content_is_over_limit(content))
        return code;
    bool verified = (ocigc_graph_flags(graph, content->node) & OCIGC_NODE_VERIFIED) != 0;
    int32_t shape = OCIGC_SHAPE_NONE;
    code = ocigc_content_load(content, error);
    if (code == OCIGC_OK)
        code = ocigc_content_check(content, verified, error);
    if (code != OCIGC_OK)
        return code;
    code = ocigc_document_scan(reader->buffer.bytes, reader->buffer.length, OCIGC_MEDIA_NONE, ignore_descriptor, NULL,
                               &shape, error);
    if (code != OCIGC_OK)
        return OCIGC_OK;
    if (shape == OCIGC_SHAPE_NONE)
        return expand_lenient(reader, content, error);
    uint32_t claimed = shape == OCIGC_SHAPE_MANIFEST ? OCIGC_NODE_MANIFEST : OCIGC_NODE_INDEX;
    uint32_t taken = claimed << OCIGC_NODE_TAKEN_SHIFT;
    if (ocigc_graph_set_flags(graph, content->node, claimed | taken) == 0)
        return OCIGC_OK; /* somebody who knew what it is has read it */
    code = expand_strict(reader, content, shape == OCIGC_SHAPE_MANIFEST ? OCIGC_MEDIA_MANIFEST : OCIGC_MEDIA_INDEX,
                         error);
    if (code != OCIGC_OK && !graph->record)
        ocigc_graph_clear_flags(graph, content->node, claimed | taken);
    return code;
}

/* ------------------------------------------------------------------- tasks */

static int32_t expand_content(struct reader *reader, const struct task *task, struct ocigc_error *error)
{
    struct ocigc_content content;
    int32_t code = ocigc_content_open(&content, reader->level->store, task->node, &reader->buffer, error);
    if (code != OCIGC_OK)
        return code;
    if (task->claims & OCIGC_NODE_MANIFEST)
        code = expand_strict(reader, &content, OCIGC_MEDIA_MANIFEST, error);
    if (code == OCIGC_OK && task->claims & OCIGC_NODE_INDEX)
        code = expand_strict(reader, &content, OCIGC_MEDIA_INDEX, error);
    if (code == OCIGC_OK && task->claims & OCIGC_NODE_JSON)
        code = expand_lenient(reader, &content, error);
    if (code == OCIGC_OK && task->claims & OCIGC_NODE_NONE)
        code = expand_unknown(reader, &content, error);
    ocigc_progress_add(reader->level->progress, 0, content.loaded ? reader->buffer.length : 0);
    ocigc_content_close(&content);
    return code;
}

static int32_t expand_node(struct reader *reader, const struct task *task, struct ocigc_error *error)
{
    if (task->claims & OCIGC_NODE_REACHED && !claim_linked(reader, task->node))
        return ocigc_fail_memory(error);
    return task->claims & ~(uint32_t)OCIGC_NODE_REACHED ? expand_content(reader, task, error) : OCIGC_OK;
}

/* Of several errors in a level, the one of the least node is told, so that it always is the same. What only waits for a
 * voucher is told where nothing worse has happened. */
static bool is_worse(const struct level *level, uint32_t node, int32_t code)
{
    bool waits = code == OCIGC_UNVERIFIABLE, waited = level->code == OCIGC_UNVERIFIABLE;
    if (level->code == OCIGC_OK || waits != waited)
        return level->code == OCIGC_OK || waited;
    return node < level->failed;
}

/* The level goes on behind a failure. The task counts as done where the failure is recorded as a fault. */
static bool take_failure(struct level *level, struct task *task, const struct ocigc_error *error)
{
    bool ok = true;
    pthread_mutex_lock(&level->lock);
    if (level->graph->record && error->code != OCIGC_NO_MEMORY && error->code != OCIGC_UNVERIFIABLE) {
        ok = ocigc_graph_add_fault(level->graph, task->node, error);
        task->claims = 0;
    } else if (is_worse(level, task->node, error->code)) {
        level->code = error->code;
        level->failed = task->node;
        level->error = *error;
    }
    pthread_mutex_unlock(&level->lock);
    return ok;
}

static bool hand_over(struct reader *reader)
{
    struct level *level = reader->level;
    struct ocigc_graph *graph = level->graph;
    bool ok = true;
    uint32_t first = 0;
    pthread_mutex_lock(&level->lock);
    for (uint32_t i = 0; ok && i < reader->found_count; i++) {
        struct found found = reader->found[i];
        ok = ocigc_graph_add_edges(graph, found.node, reader->targets + first, reader->kinds + first, found.count);
        for (uint32_t edge = first; ok && edge < first + found.count; edge++)
            if (ocigc_edge_role(reader->kinds[edge]) == OCIGC_ROLE_SUBJECT && reader->targets[edge] != UINT32_MAX)
                ok = ocigc_referrers_add(graph, reader->targets[edge], found.node);
        first += found.count;
    }
    for (uint32_t i = 0; ok && i < reader->queue_count; i++)
        ok = ocigc_graph_queue(graph, reader->queue[i]);
    for (uint32_t i = 0; ok && i < reader->wrong_size_count; i++)
        ok = ocigc_graph_add_wrong_size(graph, reader->wrong_sizes[i]);
    while (reader->missing_count > 0) {
        char *digest = reader->missing[--reader->missing_count];
        ok = ok && ocigc_graph_add_missing(graph, digest, (uint32_t)strlen(digest));
        free(digest);
    }
    pthread_mutex_unlock(&level->lock);
    reader->found_count = reader->edge_count = reader->queue_count = reader->wrong_size_count = 0;
    return ok;
}

static int32_t read_share(struct reader *reader, uint32_t first, struct ocigc_error *error)
{
    struct level *level = reader->level;
    uint32_t end = first + SHARE < level->count ? first + SHARE : level->count;
    for (uint32_t i = first; i < end; i++) {
        struct task *task = &level->tasks[i];
        uint32_t edges = reader->edge_count;
        if (expand_node(reader, task, error) == OCIGC_OK)
            task->claims = 0;
        else if (!take_failure(level, task, error))
            return ocigc_fail_memory(error);
        if (task->claims == 0)
            reader->found[reader->found_count++] = (struct found){task->node, reader->edge_count - edges};
        else
            reader->edge_count = edges; /* they come again once the task is tried again */
    }
    ocigc_progress_add(level->progress, end - first, 0);
    return hand_over(reader) ? OCIGC_OK : ocigc_fail_memory(error);
}

static void read_level(void *context)
{
    struct level *level = context;
    struct reader reader = {.level = level};
    struct ocigc_error error;
    int32_t code = OCIGC_OK;
    uint32_t first;
    while (code == OCIGC_OK && (first = __atomic_fetch_add(&level->next, SHARE, __ATOMIC_RELAXED)) < level->count)
        code = ocigc_cancelled(level->progress) ? ocigc_fail(&error, OCIGC_CANCELLED, "cancelled")
                                                : read_share(&reader, first, &error);
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&level->lock);
        level->code = code;
        level->failed = 0;
        level->error = error;
        pthread_mutex_unlock(&level->lock);
    }
    while (reader.missing_count > 0)
        free(reader.missing[--reader.missing_count]);
    ocigc_buffer_free(&reader.buffer);
    free(reader.targets);
    free(reader.kinds);
    free(reader.queue);
    free(reader.missing);
    free(reader.wrong_sizes);
}

/* ------------------------------------------------------------------ levels */

/* Takes all claims of the queued nodes. The tasks are in the order of the nodes, and each node is among them once. */
static bool take_queue(struct ocigc_graph *graph, struct task **tasks, uint32_t *count)
{
    *count = 0;
    *tasks = malloc(graph->queue_count * sizeof **tasks);
    if (*tasks == NULL)
        return false;
    qsort(graph->queue, graph->queue_count, sizeof *graph->queue, ocigc_by_number);
    for (uint32_t i = 0; i < graph->queue_count; i++) {
        uint32_t node = graph->queue[i], flags = graph->flags[node];
        uint32_t claims = flags & ~(flags >> OCIGC_NODE_TAKEN_SHIFT) & OCIGC_NODE_CLAIMS;
        if (claims == 0)
            continue;
        ocigc_graph_set_flags(graph, node, claims << OCIGC_NODE_TAKEN_SHIFT);
        (*tasks)[(*count)++] = (struct task){node, claims};
    }
    graph->queue_count = 0;
    return true;
}

/* What was left undone can be taken again. */
static bool give_back(struct level *level, bool waiting)
{
    struct ocigc_graph *graph = level->graph;
    for (uint32_t i = 0; i < level->count; i++) {
        struct task task = level->tasks[i];
        if (task.claims == 0)
            continue;
        ocigc_graph_clear_flags(graph, task.node, task.claims << OCIGC_NODE_TAKEN_SHIFT);
        if (!waiting) {
            if (!ocigc_graph_queue(graph, task.node))
                return false;
        } else {
            if (!ocigc_reserve(&graph->pending, &graph->pending_capacity, graph->pending_count, 1,
                               sizeof *graph->pending))
                return false;
            graph->pending[graph->pending_count++] = task.node;
        }
    }
    return true;
}

static int32_t run_level(ocigc_store *store, struct level *level, uint32_t threads, struct ocigc_progress *progress)
{
    *level = (struct level){.store = store, .graph = store->graph, .progress = progress};
    if (!take_queue(store->graph, &level->tasks, &level->count))
        return level->code = ocigc_fail_memory(&level->error);
    if (progress != NULL)
        __atomic_fetch_add(&progress->total_items, level->count, __ATOMIC_RELAXED);
    pthread_mutex_init(&level->lock, NULL);
    uint32_t useful = level->count / TASKS_A_THREAD + 1;
    ocigc_parallel(useful < threads ? useful : threads, read_level, level);
    pthread_mutex_destroy(&level->lock);
    bool given_back = give_back(level, level->code == OCIGC_UNVERIFIABLE);
    free(level->tasks);
    return given_back ? level->code : ocigc_fail_memory(&level->error);
}

int32_t ocigc_graph_expand_queue(ocigc_store *store, uint32_t threads, struct ocigc_progress *progress,
                                 struct ocigc_error *error)
{
    struct ocigc_graph *graph = store->graph;
    struct level level;
    int32_t result = OCIGC_OK;
    threads = ocigc_thread_count(threads);
    for (uint32_t i = 0; i < graph->pending_count; i++)
        if (!ocigc_graph_queue(graph, graph->pending[i]))
            return ocigc_fail_memory(error);
    graph->pending_count = 0;
    while (graph->queue_count > 0) {
        int32_t code = run_level(store, &level, threads, progress);
        if (code == OCIGC_OK)
            continue;
        if (result == OCIGC_OK || code != OCIGC_UNVERIFIABLE) {
            result = code;
            if (error != NULL)
                *error = level.error;
        }
        if (code != OCIGC_UNVERIFIABLE)
            break;
    }
    if (graph->queue_count == 0) { /* it may have held a good part of all nodes */
        free(graph->queue);
        graph->queue = NULL;
        graph->queue_capacity = 0;
    }
    if (graph->pending_count > 0)
        qsort(graph->pending, graph->pending_count, sizeof *graph->pending, ocigc_by_number);
    ocigc_graph_sort_records(graph);
    return result;
}

int32_t ocigc_graph_expand(ocigc_store *store, const uint32_t *nodes, const uint8_t *media, size_t count,
                           uint32_t threads, struct ocigc_progress *progress, struct ocigc_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (nodes[i] != UINT32_MAX && ocigc_graph_claim(store->graph, nodes[i], ocigc_claim_of(media[i])) &&
            !ocigc_graph_queue(store->graph, nodes[i]))
            return ocigc_fail_memory(error);
    return ocigc_graph_expand_queue(store, threads, progress, error);
}
