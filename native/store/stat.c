/* stat.c - reads the status of files: size, times, links. */
#include "store/files.h"
#include "store/parallel.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARE = 1024 }; /* nodes that a thread takes at a time */

struct job {
    ocigc_store *store;
    const uint32_t *nodes; /* NULL: all */
    size_t count;
    size_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* guards the store's inodes, and what follows */
    int32_t code;
    struct ocigc_error *error;
};

int32_t ocigc_store_stat_now(const ocigc_store *store, uint32_t node, struct ocigc_hard_link *out,
                             struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat file;
    ocigc_table_encoded(place.table, place.position, encoded);
    int cause = ocigc_blob_stat(store, node, &file);
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the file of blobs/%s/%s", place.table->name, encoded);
    *out = (struct ocigc_hard_link){
        .device = (uint32_t)file.st_dev,
        .inode = file.st_ino,
        .links = file.st_nlink,
        .size = (uint64_t)file.st_size,
        .stamp = ocigc_stamp(&file),
        .modified = ocigc_nanoseconds(file.st_mtim),
    };
    return OCIGC_OK;
}

int32_t ocigc_store_keep_statuses(ocigc_store *store, struct ocigc_error *error)
{
    return ocigc_status_reserve(store, NULL, 0) ? OCIGC_OK : ocigc_fail_memory(error);
}

static int32_t stat_file(struct job *job, uint32_t node, struct ocigc_status *status, uint64_t *bytes,
                         struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(job->store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat file;
    ocigc_table_encoded(place.table, place.position, encoded);
    int cause = ocigc_blob_stat(job->store, node, &file);
    const char *algorithm = place.table->name;
    if (cause == ENOENT) {
        *status = (struct ocigc_status){0, OCIGC_STAMP_NEVER};
        return OCIGC_OK;
    }
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the file of blobs/%s/%s", algorithm, encoded);
    if (!S_ISREG(file.st_mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "blobs/%s/%s is %s", algorithm, encoded,
                          ocigc_kind(file.st_mode));
    if (!ocigc_status_make(job->store, &job->lock, &file, status))
        return ocigc_fail_memory(error);
    *bytes += (uint64_t)file.st_size;
    return OCIGC_OK;
}

/* A list may contain a node twice, for two threads. */
static int32_t stat_node(struct job *job, uint32_t node, uint64_t *bytes, struct ocigc_error *error)
{
    struct ocigc_status status = {0, OCIGC_STAMP_UNKNOWN};
    uint32_t place = ocigc_status_claim(job->store, node);
    if (place == UINT32_MAX)
        return OCIGC_OK;
    int32_t code = stat_file(job, node, &status, bytes, error);
    ocigc_status_put(job->store, place, status);
    return code;
}

static int32_t stat_share(struct job *job, size_t first, struct ocigc_error *error)
{
    size_t end = job->count - first < SHARE ? job->count : first + SHARE;
    uint64_t bytes = 0;
    if (ocigc_cancelled(job->progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    for (size_t i = first; i < end; i++) {
        int32_t code = stat_node(job, job->nodes != NULL ? job->nodes[i] : (uint32_t)i, &bytes, error);
        if (code != OCIGC_OK)
            return code;
    }
    ocigc_progress_add(job->progress, end - first, bytes);
    return OCIGC_OK;
}

static void stat_nodes(void *context)
{
    struct job *job = context;
    struct ocigc_error error;
    int32_t code = OCIGC_OK;
    size_t first;
    while (code == OCIGC_OK && (first = __atomic_fetch_add(&job->next, SHARE, __ATOMIC_RELAXED)) < job->count)
        code = stat_share(job, first, &error);
    if (code == OCIGC_OK)
        return;
    __atomic_store_n(&job->next, job->count, __ATOMIC_RELAXED);
    pthread_mutex_lock(&job->lock);
    if (job->code == OCIGC_OK) {
        job->code = code;
        if (job->error != NULL)
            *job->error = error;
    }
    pthread_mutex_unlock(&job->lock);
}

int32_t ocigc_store_stat(ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                         struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct job job = {.store = store, .nodes = nodes, .count = count, .progress = progress, .error = error};
    if (nodes == NULL)
        job.count = store->count;
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, job.count, __ATOMIC_RELAXED);
    if (!ocigc_status_reserve(store, nodes, count))
        return ocigc_fail_memory(error);
    pthread_mutex_init(&job.lock, NULL);
    ocigc_parallel(job.count > SHARE ? ocigc_thread_count(threads) : 1, stat_nodes, &job);
    pthread_mutex_destroy(&job.lock);
    return job.code;
}
