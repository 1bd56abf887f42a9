/* sweep.c - moves blobs out of the layout into the trash. On one thread, because the kernel serializes renames between
 * directories.
 *
 * Blobs that the trash keeps are not renamed: on some file systems a rename between directories is not atomic, and a
 * power failure may lose both names. So a blob first gets a second name in the trash, which is synced, and then loses
 * the first. */
#include "store/sweep.h"

#include "store/files.h"

#include <errno.h>
#include <stdlib.h>

enum { SHARE = 256 };  /* names between two checks of the cancel flag */
enum { LINKED = 255 }; /* a result on the way: it has a name in the trash too */

/* Whether the file is still the one whose status is known. Moving one link of an inode changes the ctime of all its
 * links. So if there are several, they are compared before the first is moved; `checked` says that this was done, and
 * then only inode and size count. */
static bool is_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status, bool checked)
{
    const struct ocigc_inode *link = checked ? ocigc_store_shared_inode(store, node) : NULL;
    if (link == NULL)
        return ocigc_blob_unchanged(store, node, status);
    return link->inode == status->st_ino && link->size == (uint64_t)status->st_size;
}

static int64_t ctime_of(const struct stat *status)
{
    return (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec;
}

static int32_t fail_to_move(const struct ocigc_sweep *sweep, int cause, const struct ocigc_place *place,
                            const char *name)
{
    return ocigc_fail_system(sweep->error, cause, "cannot move blobs/%s/%s into the trash", place->table->name, name);
}

/* The first half of a move: after it, the blob is in the trash too. */
static int32_t link_blob(const struct ocigc_sweep *sweep, size_t index)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const struct ocigc_way *way = &sweep->ways[place.table - sweep->store->tables];
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    if (sweep->results[index] == OCIGC_SWEEP_SKIPPED || place.table->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;
    ocigc_table_encoded(place.table, place.position, name);
    if (ocigc_stat(way->blobs, name, &status) != 0 || ocigc_blob_was_touched(sweep->store, node) ||
        !is_unchanged(sweep->store, node, &status, true))
        return OCIGC_OK; /* which is found again in the second half */
    int cause = ocigc_link_into_trash(way->blobs, name, way->blob_trash);
    if (cause == 0)
        cause = ocigc_stat(way->blobs, name, &status);
    if (cause == 0) {
        sweep->results[index] = LINKED;
        sweep->changed[index] = ctime_of(&status);
    }
    return cause == 0 || cause == ENOENT || ocigc_cannot_link(cause) ? OCIGC_OK
                                                                     : fail_to_move(sweep, cause, &place, name);
}

/* The second half: after it, the blob is only in the trash, unless somebody has changed it meanwhile. 0, or an errno.
 */
static int unlink_if_unchanged(const struct ocigc_sweep *sweep, size_t index, const struct ocigc_way *way,
                               const char *name, uint8_t *result)
{
    struct stat status, trashed;
    int cause = ocigc_stat(way->blobs, name, &status);
    if (cause == 0)
        cause = ocigc_stat(way->blob_trash, name, &trashed);
    if (cause != 0)
        return cause;
    bool shared = ocigc_store_shared_inode(sweep->store, sweep->nodes[index]) != NULL;
    if (status.st_ino == trashed.st_ino && (shared || ctime_of(&status) == sweep->changed[index])) {
        *result = OCIGC_SWEEP_MOVED;
        return ocigc_unlink(way->blobs, name, 0);
    }
    *result = OCIGC_SWEEP_SKIPPED;
    return ocigc_unlink(way->blob_trash, name, 0);
}

static int32_t sweep_blob(const struct ocigc_sweep *sweep, size_t index)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const struct ocigc_way *way = &sweep->ways[place.table - sweep->store->tables];
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    uint8_t before = sweep->results[index];
    if (before == OCIGC_SWEEP_SKIPPED)
        return OCIGC_OK;
    sweep->results[index] = OCIGC_SWEEP_SKIPPED;
    if (place.table->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;

    ocigc_table_encoded(place.table, place.position, name);
    uint8_t result = OCIGC_SWEEP_MOVED;
    int cause;
    if (before == LINKED) {
        cause = unlink_if_unchanged(sweep, index, way, name, &result);
    } else {
        cause = ocigc_stat(way->blobs, name, &status);
        if (cause == 0 &&
            (ocigc_blob_was_touched(sweep->store, node) || !is_unchanged(sweep->store, node, &status, true)))
            return OCIGC_OK;
        if (cause == 0)
            cause = ocigc_move_into_trash(way->blobs, name, way->blob_trash);
    }
    sweep->results[index] = cause == 0 ? result : cause == ENOENT ? OCIGC_SWEEP_MISSING : OCIGC_SWEEP_NOT_TRIED;
    return cause == 0 || cause == ENOENT ? OCIGC_OK : fail_to_move(sweep, cause, &place, name);
}

static int32_t link_blobs(const struct ocigc_sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        if (i % SHARE == 0 && ocigc_cancelled(sweep->progress))
            return ocigc_fail(sweep->error, OCIGC_CANCELLED, "cancelled");
        int32_t code = link_blob(sweep, i);
        if (code != OCIGC_OK)
            return code;
    }
    int cause = ocigc_sync_trash(sweep, false);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(sweep->error, cause, "cannot sync the trash");
}

static int32_t sweep_blobs(const struct ocigc_sweep *sweep)
{
    for (size_t first = 0, end; first < sweep->count; first = end) {
        uint64_t bytes = 0;
        end = sweep->count - first < SHARE ? sweep->count : first + SHARE;
        if (ocigc_cancelled(sweep->progress))
            return ocigc_fail(sweep->error, OCIGC_CANCELLED, "cancelled");
        for (size_t i = first; i < end; i++) {
            int32_t code = sweep_blob(sweep, i);
            if (code != OCIGC_OK)
                return code;
            if (sweep->results[i] == OCIGC_SWEEP_MOVED)
                bytes += ocigc_store_size(sweep->store, sweep->nodes[i]);
        }
        ocigc_progress_add(sweep->progress, end - first, bytes);
    }
    return OCIGC_OK;
}

/* Skips the blobs with several links that have changed since the scan. */
static void check_links(struct ocigc_sweep *sweep)
{
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    for (size_t i = 0; i < sweep->count; i++) {
        if (ocigc_store_shared_inode(sweep->store, sweep->nodes[i]) == NULL)
            continue;
        struct ocigc_place place = ocigc_store_place(sweep->store, sweep->nodes[i]);
        ocigc_table_encoded(place.table, place.position, name);
        if (ocigc_stat(place.table->directory, name, &status) == 0 &&
            !is_unchanged(sweep->store, sweep->nodes[i], &status, false))
            sweep->results[i] = OCIGC_SWEEP_SKIPPED;
    }
}

int32_t ocigc_sweep(const ocigc_store *store, const uint32_t *nodes, size_t count, int32_t trash, uint8_t durable,
                    uint8_t *results, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct ocigc_sweep sweep = {
        .store = store, .nodes = nodes, .count = count, .results = results, .progress = progress};
    sweep.trash = trash;
    int32_t code = OCIGC_OK;
    sweep.error = error;
    for (size_t i = 0; i < count; i++)
        results[i] = OCIGC_SWEEP_NOT_TRIED;
    sweep.ways = malloc((store->table_count + 1) * sizeof *sweep.ways);
    sweep.changed = durable ? calloc(count + 1, sizeof *sweep.changed) : NULL;
    if (sweep.ways == NULL || (durable && sweep.changed == NULL)) {
        free(sweep.ways);
        free(sweep.changed);
        return ocigc_fail_memory(error);
    }
    for (uint32_t i = 0; i < store->table_count; i++) {
        sweep.ways[i] = (struct ocigc_way){-1, -1, -1, -1};
        if (code == OCIGC_OK && store->tables[i].algorithm != OCIGC_ALGORITHM_OTHER)
            code = ocigc_way_open(store, &store->tables[i], trash, &sweep.ways[i], error);
    }
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
    if (store->inode_count > 0)
        check_links(&sweep);
    if (code == OCIGC_OK && durable)
        code = link_blobs(&sweep);
    if (code == OCIGC_OK)
        code = sweep_blobs(&sweep);
    for (size_t i = 0; i < count; i++)
        if (results[i] == LINKED)
            results[i] = OCIGC_SWEEP_NOT_TRIED;
    if (code == OCIGC_OK)
        code = ocigc_sweep_label_files(&sweep);
    for (uint32_t i = 0; i < store->table_count; i++)
        ocigc_way_close(&sweep.ways[i]);
    free(sweep.ways);
    free(sweep.changed);
    return code;
}
