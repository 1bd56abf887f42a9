/* sweep.c - blobs out of the layout, into the trash. */
#include "store/files.h"
#include "store/parallel.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARE = 256 }; /* blobs that a thread takes at a time */

/* The directories of one algorithm: where its blobs and sidecars are, and where they go. */
struct way {
    int blobs;
    int blob_trash;
    int labels; /* -1: there are none */
    int label_trash;
};

struct sweep {
    const ocigc_store *store;
    const uint32_t *nodes;
    size_t count;
    uint8_t *fates;
    struct way *ways; /* of each segment */
    size_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of what follows */
    int32_t code;
    struct ocigc_error *error;
};

static int open_trash(int trash, const char *top, const char *algorithm)
{
    int parent = ocigc_make_directory(trash, top);
    if (parent < 0)
        return -1;
    int directory = ocigc_make_directory(parent, algorithm);
    int cause = errno;
    close(parent);
    errno = cause;
    return directory;
}

static int open_labels(int layout, const char *algorithm)
{
    int labels = ocigc_open_directory(layout, "labels");
    if (labels < 0)
        return -1;
    int directory = ocigc_open_directory(labels, algorithm);
    int cause = errno;
    close(labels);
    errno = cause;
    return directory;
}

static int32_t open_way(const ocigc_store *store, const struct ocigc_segment *segment, int trash, struct way *way,
                        struct ocigc_error *error)
{
    way->blobs = segment->directory;
    way->blob_trash = open_trash(trash, "blobs", segment->name);
    if (way->blob_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make blobs/%s in the trash", segment->name);
    way->labels = open_labels(store->layout, segment->name);
    if (way->labels < 0)
        return errno == ENOENT ? OCIGC_OK : ocigc_fail_system(error, errno, "cannot open labels/%s", segment->name);
    way->label_trash = open_trash(trash, "labels", segment->name);
    if (way->label_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make labels/%s in the trash", segment->name);
    return OCIGC_OK;
}

static void close_way(const struct way *way)
{
    if (way->blob_trash >= 0)
        close(way->blob_trash);
    if (way->labels >= 0)
        close(way->labels);
    if (way->label_trash >= 0)
        close(way->label_trash);
}

/* Renames, over what an interrupted run may have left in the trash too: 0, or an errno. */
static int move(int from, const char *name, int to)
{
    unsigned int flags = RENAME_NOREPLACE;
    while (renameat2(from, name, to, name, flags) != 0) {
        if (errno == EEXIST) {
            /* Renaming over it would do nothing, and not say so, where both are names of one inode. */
            int cause = ocigc_unlink(to, name, 0);
            if (cause != 0 && cause != ENOENT)
                return cause;
        } else if (flags != 0 && (errno == EINVAL || errno == ENOSYS)) {
            flags = 0; /* a file system that cannot do better */
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Whether the file is still the one that the survey saw, and nobody had touched it then since the scan. Moving one name of an inode changes the ctime of all, so where
 * there are several, `checked` says that this was looked at before the first was moved: then the inode counts. */
static bool is_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status, bool checked)
{
    const struct ocigc_link *link = checked ? ocigc_store_link(store, node) : NULL;
    if (link == NULL)
        return ocigc_blob_unchanged(store, node, status);
    return link->inode == status->st_ino && link->size == (uint64_t)status->st_size;
}

static int32_t sweep_blob(const struct sweep *sweep, size_t index, struct ocigc_error *error)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const char *algorithm = place.segment->name;
    const struct way *way = &sweep->ways[place.segment - sweep->store->segments];
    char name[OCIGC_DIGEST_TEXT_MAX + sizeof ".json"];
    struct stat status;
    if (sweep->fates[index] == OCIGC_FATE_SPARED)
        return OCIGC_OK;
    sweep->fates[index] = OCIGC_FATE_SPARED;
    if (place.segment->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;

    uint32_t length = ocigc_segment_encoded(place.segment, place.position, name);
    int cause = ocigc_status(way->blobs, name, &status);
    if (cause == 0 && (ocigc_blob_moved(sweep->store, node) || !is_unchanged(sweep->store, node, &status, true)))
        return OCIGC_OK;
    if (cause == 0)
        cause = move(way->blobs, name, way->blob_trash);
    sweep->fates[index] = cause == 0 ? OCIGC_FATE_MOVED : cause == ENOENT ? OCIGC_FATE_MISSING : OCIGC_FATE_KEPT;
    if (cause != 0 && cause != ENOENT)
        return ocigc_fail_system(error, cause, "cannot move blobs/%s/%s into the trash", algorithm, name);
    if (way->labels < 0)
        return OCIGC_OK;
    memcpy(name + length, ".json", sizeof ".json");
    cause = move(way->labels, name, way->label_trash);
    if (cause != 0 && cause != ENOENT)
        return ocigc_fail_system(error, cause, "cannot move labels/%s/%s into the trash", algorithm, name);
    return OCIGC_OK;
}

static int32_t sweep_share(struct sweep *sweep, size_t first, struct ocigc_error *error)
{
    size_t end = sweep->count - first < SHARE ? sweep->count : first + SHARE;
    uint64_t bytes = 0;
    for (size_t i = first; i < end; i++) {
        int32_t code = sweep_blob(sweep, i, error);
        if (code != OCIGC_OK)
            return code;
        if (sweep->fates[i] == OCIGC_FATE_MOVED)
            bytes += ocigc_store_size(sweep->store, sweep->nodes[i]);
    }
    ocigc_progress_add(sweep->progress, end - first, bytes);
    return OCIGC_OK;
}

static void sweep_blobs(void *context)
{
    struct sweep *sweep = context;
    struct ocigc_error error;
    int32_t code = OCIGC_OK;
    size_t first;
    while (code == OCIGC_OK && __atomic_load_n(&sweep->code, __ATOMIC_RELAXED) == OCIGC_OK &&
           (first = __atomic_fetch_add(&sweep->next, SHARE, __ATOMIC_RELAXED)) < sweep->count)
        code = ocigc_cancelled(sweep->progress) ? ocigc_fail(&error, OCIGC_CANCELLED, "cancelled")
                                                : sweep_share(sweep, first, &error);
    if (code == OCIGC_OK)
        return;
    pthread_mutex_lock(&sweep->lock);
    if (sweep->code == OCIGC_OK) {
        __atomic_store_n(&sweep->code, code, __ATOMIC_RELAXED);
        if (sweep->error != NULL)
            *sweep->error = error;
    }
    pthread_mutex_unlock(&sweep->lock);
}

/* Spares the blobs with several names that have changed since the scan. */
static void check_links(struct sweep *sweep)
{
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    for (size_t i = 0; i < sweep->count; i++) {
        if (ocigc_store_link(sweep->store, sweep->nodes[i]) == NULL)
            continue;
        struct ocigc_place place = ocigc_store_place(sweep->store, sweep->nodes[i]);
        ocigc_segment_encoded(place.segment, place.position, name);
        if (ocigc_status(place.segment->directory, name, &status) == 0 &&
            !is_unchanged(sweep->store, sweep->nodes[i], &status, false))
            sweep->fates[i] = OCIGC_FATE_SPARED;
    }
}

int32_t ocigc_sweep(const ocigc_store *store, const uint32_t *nodes, size_t count, int32_t trash, uint8_t *fates,
                    struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct sweep sweep = {.store = store, .nodes = nodes, .count = count, .fates = fates, .progress = progress};
    sweep.error = error;
    for (size_t i = 0; i < count; i++)
        fates[i] = OCIGC_FATE_KEPT;
    sweep.ways = malloc((store->segment_count + 1) * sizeof *sweep.ways);
    if (sweep.ways == NULL)
        return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < store->segment_count; i++) {
        sweep.ways[i] = (struct way){-1, -1, -1, -1};
        if (sweep.code == OCIGC_OK && store->segments[i].algorithm != OCIGC_ALGORITHM_OTHER)
            sweep.code = open_way(store, &store->segments[i], trash, &sweep.ways[i], error);
    }
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
    if (store->link_count > 0)
        check_links(&sweep);
    pthread_mutex_init(&sweep.lock, NULL);
    if (sweep.code == OCIGC_OK)
        ocigc_parallel(count > SHARE ? ocigc_thread_count(0) : 1, sweep_blobs, &sweep);
    pthread_mutex_destroy(&sweep.lock);
    for (uint32_t i = 0; i < store->segment_count; i++)
        close_way(&sweep.ways[i]);
    free(sweep.ways);
    return sweep.code;
}
