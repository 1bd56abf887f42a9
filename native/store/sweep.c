/* sweep.c - moves blobs out of the layout into the trash. On one thread, because the kernel serializes renames between
 * directories.
 *
 * What the trash promises to keep is not renamed: it gets a second name in the trash, which is synced, and then loses
 * the first. Where a rename between directories is not atomic, a power failure may lose both names. */
#include "base/vector.h"
#include "store/files.h"
#include "store/names.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARE = 256 };  /* names between two checks of the cancel flag */
enum { LINKED = 255 }; /* a result on the way: it has a name in the trash too */

/* The directories of one algorithm: where its blobs and label files are, and where they go. */
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
    uint8_t *results;
    int64_t *changed; /* the ctime of each node that is LINKED, in nanoseconds; NULL where all is renamed */
    int trash;
    struct way *ways; /* of each table */
    struct ocigc_progress *progress;
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

static int32_t open_way(const ocigc_store *store, const struct ocigc_digest_table *table, int trash, struct way *way,
                        struct ocigc_error *error)
{
    way->blobs = table->directory;
    way->blob_trash = open_trash(trash, "blobs", table->name);
    if (way->blob_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make blobs/%s in the trash", table->name);
    way->labels = open_labels(store->layout, table->name);
    if (way->labels < 0)
        return errno == ENOENT ? OCIGC_OK : ocigc_fail_system(error, errno, "cannot open labels/%s", table->name);
    way->label_trash = open_trash(trash, "labels", table->name);
    if (way->label_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make labels/%s in the trash", table->name);
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

/* Renames, and replaces what an interrupted run may have left in the trash. 0, or an errno. */
static int move(int from, const char *name, int to)
{
    unsigned int flags = RENAME_NOREPLACE;
    while (renameat2(from, name, to, name, flags) != 0) {
        if (errno == EEXIST) {
            /* If both are links of one inode, renaming over it would do nothing and report success. */
            int cause = ocigc_unlink(to, name, 0);
            if (cause != 0 && cause != ENOENT)
                return cause;
        } else if (flags != 0 && (errno == EINVAL || errno == ENOSYS)) {
            flags = 0; /* this file system has no RENAME_NOREPLACE */
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Gives a file a second name in the trash, in place of what an interrupted run may have left there. 0, or an errno. */
static int link_into_trash(int from, const char *name, int to)
{
    while (linkat(from, name, to, name, 0) != 0) {
        if (errno == EEXIST) {
            int cause = ocigc_unlink(to, name, 0);
            if (cause != 0 && cause != ENOENT)
                return cause;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Whether the file system has no second names, or no more of them for this file. */
static bool cannot_link(int cause)
{
    return cause == EPERM || cause == EOPNOTSUPP || cause == ENOSYS || cause == EMLINK || cause == EINVAL;
}

static int sync_fully(int file)
{
    while (fsync(file) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

/* Makes the names in the trash durable, below `top`. 0, or an errno. */
static int sync_trash(const struct sweep *sweep, bool labels)
{
    int cause = 0;
    for (uint32_t i = 0; i < sweep->store->table_count && cause == 0; i++) {
        int directory = labels ? sweep->ways[i].label_trash : sweep->ways[i].blob_trash;
        if (directory >= 0)
            cause = sync_fully(directory);
    }
    int parent = cause == 0 ? ocigc_open_directory(sweep->trash, labels ? "labels" : "blobs") : -1;
    if (cause == 0 && parent < 0)
        return errno == ENOENT ? 0 : errno;
    if (cause == 0)
        cause = sync_fully(parent);
    if (parent >= 0)
        close(parent);
    return cause == 0 ? sync_fully(sweep->trash) : cause;
}

/* Whether the file is still the one whose status is known. Moving one link of an inode changes the ctime of all its
 * links. So if there are several, they are compared before the first is moved, and `checked` says that this was done:
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

static int32_t fail_to_move(const struct sweep *sweep, int cause, const struct ocigc_place *place, const char *name)
{
    return ocigc_fail_system(sweep->error, cause, "cannot move blobs/%s/%s into the trash", place->table->name, name);
}

/* The first half of a move: the blob is in the trash too. */
static int32_t link_blob(const struct sweep *sweep, size_t index)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const struct way *way = &sweep->ways[place.table - sweep->store->tables];
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    if (sweep->results[index] == OCIGC_SWEEP_SKIPPED || place.table->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;
    ocigc_table_encoded(place.table, place.position, name);
    if (ocigc_stat(way->blobs, name, &status) != 0 || ocigc_blob_was_touched(sweep->store, node) ||
        !is_unchanged(sweep->store, node, &status, true))
        return OCIGC_OK; /* which is found again in the second half */
    int cause = link_into_trash(way->blobs, name, way->blob_trash);
    if (cause == 0)
        cause = ocigc_stat(way->blobs, name, &status);
    if (cause == 0) {
        sweep->results[index] = LINKED;
        sweep->changed[index] = ctime_of(&status);
    }
    return cause == 0 || cause == ENOENT || cannot_link(cause) ? OCIGC_OK : fail_to_move(sweep, cause, &place, name);
}

/* The second half: it is in the trash alone, unless somebody has changed it meanwhile. 0, or an errno. */
static int unlink_if_unchanged(const struct sweep *sweep, size_t index, const struct way *way, const char *name,
                               uint8_t *result)
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

static int32_t sweep_blob(const struct sweep *sweep, size_t index)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const struct way *way = &sweep->ways[place.table - sweep->store->tables];
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
            cause = move(way->blobs, name, way->blob_trash);
    }
    sweep->results[index] = cause == 0 ? result : cause == ENOENT ? OCIGC_SWEEP_MISSING : OCIGC_SWEEP_NOT_TRIED;
    return cause == 0 || cause == ENOENT ? OCIGC_OK : fail_to_move(sweep, cause, &place, name);
}

static int32_t link_blobs(const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++) {
        if (i % SHARE == 0 && ocigc_cancelled(sweep->progress))
            return ocigc_fail(sweep->error, OCIGC_CANCELLED, "cancelled");
        int32_t code = link_blob(sweep, i);
        if (code != OCIGC_OK)
            return code;
    }
    int cause = sync_trash(sweep, false);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(sweep->error, cause, "cannot sync the trash");
}

static int32_t sweep_blobs(const struct sweep *sweep)
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

/* ---------------------------------------------------------------- sidecars */

/* The label files in one directory whose blobs are gone. */
struct leftovers {
    const struct ocigc_digest_table *table;
    const uint8_t *gone; /* a bit per node */
    uint32_t *nodes;
    uint32_t count;
    uint32_t capacity;
};

static int32_t no_memory(const struct sweep *sweep)
{
    return ocigc_fail(sweep->error, OCIGC_NO_MEMORY, "out of memory");
}

/* All are found before the first is moved: listing a directory that changes may skip names. */
static int32_t find_leftovers(const struct sweep *sweep, struct leftovers *leftovers, struct ocigc_names *names,
                              struct ocigc_directory *labels)
{
    int taken;
    while ((taken = ocigc_names_take(names, labels)) > 0) {
        const struct dirent64 *entry;
        while ((entry = ocigc_names_next(names)) != NULL) {
            uint32_t node = ocigc_label_file_node(leftovers->table, entry->d_name);
            if (node == UINT32_MAX || (leftovers->gone[node / 8] >> node % 8 & 1) == 0)
                continue;
            if (!ocigc_reserve(&leftovers->nodes, &leftovers->capacity, leftovers->count, 1, sizeof node))
                return no_memory(sweep);
            leftovers->nodes[leftovers->count++] = node;
        }
    }
    if (taken < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot list labels/%s", leftovers->table->name);
    return OCIGC_OK;
}

enum half { WHOLE, FIRST, SECOND };

/* Moves a label file, or does one half of that. 0, or an errno. */
static int move_label_file(const struct way *way, const char *name, enum half half)
{
    struct stat status, trashed;
    int cause;
    switch (half) {
    case FIRST:
        cause = link_into_trash(way->labels, name, way->label_trash);
        return cannot_link(cause) ? 0 : cause;
    case SECOND:
        if (ocigc_stat(way->labels, name, &status) == 0 && ocigc_stat(way->label_trash, name, &trashed) == 0 &&
            status.st_ino == trashed.st_ino)
            return ocigc_unlink(way->labels, name, 0);
        break;
    case WHOLE:
        break;
    }
    return move(way->labels, name, way->label_trash);
}

static int32_t move_leftovers(const struct sweep *sweep, const struct leftovers *leftovers, const struct way *way,
                              enum half half)
{
    const struct ocigc_digest_table *table = leftovers->table;
    char name[OCIGC_DIGEST_TEXT_MAX + sizeof ".json"];
    for (uint32_t i = 0; i < leftovers->count; i++) {
        uint32_t length = ocigc_table_encoded(table, leftovers->nodes[i] - table->first, name);
        memcpy(name + length, ".json", sizeof ".json");
        int cause = move_label_file(way, name, half);
        if (cause != 0 && cause != ENOENT)
            return ocigc_fail_system(sweep->error, cause, "cannot move labels/%s/%s into the trash", table->name, name);
    }
    if (half != FIRST || leftovers->count == 0)
        return OCIGC_OK;
    int cause = sync_trash(sweep, true);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(sweep->error, cause, "cannot sync the trash");
}

static int32_t sweep_labels(const struct sweep *sweep, const struct ocigc_digest_table *table, const struct way *way,
                            const uint8_t *gone)
{
    struct leftovers leftovers = {.table = table, .gone = gone};
    struct ocigc_directory labels;
    struct ocigc_names names;
    int descriptor = ocigc_open_directory(way->labels, ".");
    if (descriptor < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot open labels/%s", table->name);
    ocigc_directory_init(&labels, descriptor);
    int32_t code = ocigc_names_init(&names) ? find_leftovers(sweep, &leftovers, &names, &labels) : no_memory(sweep);
    ocigc_names_free(&names);
    ocigc_directory_close(&labels);
    if (code == OCIGC_OK && sweep->changed != NULL)
        code = move_leftovers(sweep, &leftovers, way, FIRST);
    if (code == OCIGC_OK)
        code = move_leftovers(sweep, &leftovers, way, sweep->changed != NULL ? SECOND : WHOLE);
    free(leftovers.nodes);
    return code;
}

/* Label files follow their blobs. The directory is listed, because most blobs have none, and trying for one costs as
 * much as moving it. */
static int32_t sweep_sidecars(const struct sweep *sweep)
{
    const struct ocigc_store *store = sweep->store;
    uint8_t *gone = calloc(store->count / 8 + 1, 1);
    if (gone == NULL)
        return no_memory(sweep);
    for (size_t i = 0; i < sweep->count; i++)
        if (sweep->results[i] == OCIGC_SWEEP_MOVED || sweep->results[i] == OCIGC_SWEEP_MISSING)
            gone[sweep->nodes[i] / 8] |= (uint8_t)(1u << sweep->nodes[i] % 8);
    int32_t code = OCIGC_OK;
    for (uint32_t i = 0; i < store->table_count && code == OCIGC_OK; i++)
        if (sweep->ways[i].labels >= 0)
            code = sweep_labels(sweep, &store->tables[i], &sweep->ways[i], gone);
    free(gone);
    return code;
}

/* ------------------------------------------------------------------- sweep */

/* Skips the blobs with several links that have changed since the scan. */
static void check_links(struct sweep *sweep)
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
    struct sweep sweep = {.store = store, .nodes = nodes, .count = count, .results = results, .progress = progress};
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
        return no_memory(&sweep);
    }
    for (uint32_t i = 0; i < store->table_count; i++) {
        sweep.ways[i] = (struct way){-1, -1, -1, -1};
        if (code == OCIGC_OK && store->tables[i].algorithm != OCIGC_ALGORITHM_OTHER)
            code = open_way(store, &store->tables[i], trash, &sweep.ways[i], error);
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
        code = sweep_sidecars(&sweep);
    for (uint32_t i = 0; i < store->table_count; i++)
        close_way(&sweep.ways[i]);
    free(sweep.ways);
    free(sweep.changed);
    return code;
}
