/* graph_expand.c - from roots to all that they reach: claimed nodes are read, level by level, on several threads. A
 * thread takes a few nodes at a time, and then hands over what it has found. Nodes that are claimed meanwhile wait for
 * the next level, so that results do not depend on the number of threads. */
#include "base/vector.h"
#include "store/disk_order.h"
#include "store/graph_read.h"
#include "store/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARE = 32,            /* tasks that a thread takes at a time */
    TASKS_PER_THREAD = 16, /* that make a thread worth starting */
};

/* A node with its claims in this level; none are left when the task is done. */
struct task {
    uint32_t node;
    uint32_t claims;
};

/* One level, shared by the threads. */
struct level {
    ocigc_store *store;
    struct ocigc_graph *graph;
    struct task *tasks; /* in the order of nodes */
    uint32_t *order;    /* in which they are read; NULL: in that of nodes */
    uint32_t count;
    uint32_t next;
    uint32_t share; /* tasks that a thread takes at a time */
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* guards the graph's arrays, and what follows */
    int32_t code;
    uint32_t failed; /* the least node that failed: its error is reported */
    struct ocigc_error error;
};

/* The edges of one task: a run in the reader's arrays. */
struct found {
    uint32_t node;
    uint32_t count;
};

/* One thread's share of a level. */
struct share {
    struct level *level;
    struct ocigc_reader reader;
    struct found found[SHARE];
    uint32_t found_count;
};

/* ------------------------------------------------------------------- tasks */

/* A node that is reached for the first time leads on to what its labels name, and to its referrers. */
static bool claim_linked(struct share *share, uint32_t node)
{
    struct level *level = share->level;
    const struct ocigc_graph *graph = level->graph;
    bool ok = true;
    pthread_mutex_lock(&level->lock);
    struct ocigc_edges edges = ocigc_graph_edges_of(graph, node);
    for (uint32_t i = 0; ok && i < edges.count; i++)
        if (ocigc_edge_role(edges.kinds[i]) == OCIGC_ROLE_LABEL && edges.targets[i] != UINT32_MAX)
            ok = ocigc_reader_claim(&share->reader, edges.targets[i], OCIGC_NODE_DETECT);
    for (uint32_t i = ocigc_referrers_first(graph, node);
         ok && i < graph->referrers_sorted && ocigc_subject_of(graph->referrers[i]) == node; i++) {
        uint32_t referrer = ocigc_referrer_of(graph->referrers[i]);
        uint32_t claim = ocigc_graph_referrer_claim(graph, referrer);
        if (claim != 0)
            ok = ocigc_reader_claim(&share->reader, referrer, claim);
    }
    pthread_mutex_unlock(&level->lock);
    return ok;
}

static bool reads(const struct task *task)
{
    return (task->claims & ~(uint32_t)OCIGC_NODE_REACHED) != 0;
}

static int32_t expand_node(struct share *share, const struct task *task, struct ocigc_error *error)
{
    if (task->claims & OCIGC_NODE_REACHED && !claim_linked(share, task->node))
        return ocigc_fail_memory(error);
    return reads(task) ? ocigc_reader_read(&share->reader, task->node, task->claims, error) : OCIGC_OK;
}

/* If several nodes of a level fail, the error of the least node is reported, so that it is always the same one. A node
 * that only waits for verification by the caller is reported if nothing worse has happened. */
static bool is_worse(const struct level *level, uint32_t node, int32_t code)
{
    bool waits = code == OCIGC_UNVERIFIABLE, waited = level->code == OCIGC_UNVERIFIABLE;
    if (level->code == OCIGC_OK || waits != waited)
        return level->code == OCIGC_OK || waited;
    return node < level->failed;
}

/* The level goes on after a failure. The task is done if the failure is recorded as a fault. */
static bool take_failure(struct level *level, struct task *task, const struct ocigc_error *error)
{
    bool ok = true;
    pthread_mutex_lock(&level->lock);
    if (level->graph->record & OCIGC_RECORD_FAULTS && error->code != OCIGC_NO_MEMORY &&
        error->code != OCIGC_UNVERIFIABLE) {
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

static bool hand_over(struct share *share)
{
    struct level *level = share->level;
    struct ocigc_graph *graph = level->graph;
    struct ocigc_reader *reader = &share->reader;
    bool ok = true;
    uint32_t first = 0;
    pthread_mutex_lock(&level->lock);
    for (uint32_t i = 0; ok && i < share->found_count; i++) {
        struct found found = share->found[i];
        ok = ocigc_graph_add_edges(graph, found.node, reader->targets + first, reader->kinds + first, found.count);
        first += found.count;
    }
    for (uint32_t i = 0; ok && i < reader->queue_count; i++)
        ok = ocigc_graph_queue(graph, reader->queue[i]);
    for (uint32_t i = 0; ok && i < reader->wrong_size_count; i++)
        ok = ocigc_graph_add_wrong_size(graph, reader->wrong_sizes[i]);
    for (uint32_t i = 0; ok && i < reader->missing_count; i++)
        ok =
            ocigc_graph_add_missing(graph, &reader->missing[i], reader->missing_text + reader->missing[i].digest.start);
    pthread_mutex_unlock(&level->lock);
    share->found_count = reader->edge_count = reader->queue_count = reader->wrong_size_count = 0;
    reader->missing_count = reader->missing_text_length = 0;
    return ok;
}

static struct task *task_at(const struct level *level, uint32_t place)
{
    return &level->tasks[level->order != NULL ? level->order[place] : place];
}

static void open_share(struct share *share, uint32_t first, uint32_t end)
{
    ocigc_opened_close(&share->reader.opened);
    for (uint32_t i = first; i < end; i++)
        if (reads(task_at(share->level, i)))
            ocigc_opened_add(&share->reader.opened, share->level->store, task_at(share->level, i)->node);
}

static int32_t read_share(struct share *share, uint32_t first, struct ocigc_error *error)
{
    struct level *level = share->level;
    uint32_t end = first + level->share < level->count ? first + level->share : level->count;
    if (level->order != NULL)
        open_share(share, first, end);
    for (uint32_t i = first; i < end; i++) {
        struct task *task = task_at(level, i);
        uint32_t edges = share->reader.edge_count;
        int32_t code = expand_node(share, task, error);
        if (code == OCIGC_OK)
            task->claims = 0;
        else if (!take_failure(level, task, error))
            return ocigc_fail_memory(error);
        if (code != OCIGC_OK)
            share->reader.edge_count = edges; /* a fault has none; else they come again when the task is tried again */
        if (task->claims == 0)
            share->found[share->found_count++] = (struct found){task->node, share->reader.edge_count - edges};
    }
    ocigc_progress_add(level->progress, end - first, 0);
    return hand_over(share) ? OCIGC_OK : ocigc_fail_memory(error);
}

static void read_level(void *context)
{
    struct level *level = context;
    struct share share = {.level = level, .reader = {.store = level->store, .progress = level->progress}};
    struct ocigc_error error;
    int32_t code = OCIGC_OK;
    uint32_t first;
    while (code == OCIGC_OK &&
           (first = __atomic_fetch_add(&level->next, level->share, __ATOMIC_RELAXED)) < level->count)
        code = ocigc_cancelled(level->progress) ? ocigc_fail(&error, OCIGC_CANCELLED, "cancelled")
                                                : read_share(&share, first, &error);
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&level->lock);
        level->code = code;
        level->failed = 0;
        level->error = error;
        pthread_mutex_unlock(&level->lock);
    }
    ocigc_reader_free(&share.reader);
}

/* ------------------------------------------------------------------ levels */

/* Takes all claims of the queued nodes. The tasks are in the order of nodes, each node once. */
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

/* Makes what was left undone available again. */
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

/* The order in which to read the tasks from the disk; NULL if they are in memory. */
static uint32_t *order_tasks(const struct level *level)
{
    uint32_t *nodes = malloc(level->count * sizeof *nodes);
    if (nodes == NULL)
        return NULL;
    for (uint32_t i = 0; i < level->count; i++)
        nodes[i] = level->tasks[i].node;
    uint32_t *order = ocigc_disk_order(level->store, nodes, level->count);
    free(nodes);
    return order;
}

static int32_t run_level(ocigc_store *store, struct level *level, uint32_t threads, struct ocigc_progress *progress)
{
    *level = (struct level){.store = store, .graph = store->graph, .progress = progress};
    if (!take_queue(store->graph, &level->tasks, &level->count))
        return level->code = ocigc_fail_memory(&level->error);
    if (progress != NULL)
        __atomic_fetch_add(&progress->total_items, level->count, __ATOMIC_RELAXED);
    level->order = order_tasks(level);
    level->share = level->order != NULL ? ocigc_cold_share() : SHARE;
    if (level->order != NULL)
        threads = OCIGC_COLD_THREADS;
    pthread_mutex_init(&level->lock, NULL);
    uint32_t useful = level->count / TASKS_PER_THREAD + 1;
    ocigc_parallel(useful < threads ? useful : threads, read_level, level);
    pthread_mutex_destroy(&level->lock);
    bool given_back = give_back(level, level->code == OCIGC_UNVERIFIABLE);
    free(level->tasks);
    free(level->order);
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
        if (nodes[i] != UINT32_MAX &&
            ocigc_graph_claim(store->graph, nodes[i], ocigc_claim_of(OCIGC_ROLE_MANIFEST, media[i])) &&
            !ocigc_graph_queue(store->graph, nodes[i]))
            return ocigc_fail_memory(error);
    return ocigc_graph_expand_queue(store, threads, progress, error);
}
