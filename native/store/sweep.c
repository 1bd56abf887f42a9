/* sweep.c - blobs out of the layout, into the trash. On one thread: the kernel renames between directories one at a time,
 * for others only to wait. */
#include "common/vector.h"
#include "store/files.h"
#include "store/names.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHARE = 256 }; /* names between two looks at the cancel flag */

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

/* Whether the file is still the one that the survey saw, and nobody had touched it then since the scan. Moving one name of
 * an inode changes the ctime of all, so where there are several, `checked` says that this was looked at before the first
 * was moved: then the inode counts. */
static bool is_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status, bool checked)
{
    const struct ocigc_link *link = checked ? ocigc_store_link(store, node) : NULL;
    if (link == NULL)
        return ocigc_blob_unchanged(store, node, status);
    return link->inode == status->st_ino && link->size == (uint64_t)status->st_size;
}

static int32_t sweep_blob(const struct sweep *sweep, size_t index)
{
    uint32_t node = sweep->nodes[index];
    struct ocigc_place place = ocigc_store_place(sweep->store, node);
    const struct way *way = &sweep->ways[place.segment - sweep->store->segments];
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    if (sweep->fates[index] == OCIGC_FATE_SPARED)
        return OCIGC_OK;
    sweep->fates[index] = OCIGC_FATE_SPARED;
    if (place.segment->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;

    ocigc_segment_encoded(place.segment, place.position, name);
    int cause = ocigc_status(way->blobs, name, &status);
    if (cause == 0 && (ocigc_blob_moved(sweep->store, node) || !is_unchanged(sweep->store, node, &status, true)))
        return OCIGC_OK;
    if (cause == 0)
        cause = move(way->blobs, name, way->blob_trash);
    sweep->fates[index] = cause == 0 ? OCIGC_FATE_MOVED : cause == ENOENT ? OCIGC_FATE_MISSING : OCIGC_FATE_KEPT;
    if (cause == 0 || cause == ENOENT)
        return OCIGC_OK;
    return ocigc_fail_system(sweep->error, cause, "cannot move blobs/%s/%s into the trash", place.segment->name, name);
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
            if (sweep->fates[i] == OCIGC_FATE_MOVED)
                bytes += ocigc_store_size(sweep->store, sweep->nodes[i]);
        }
        ocigc_progress_add(sweep->progress, end - first, bytes);
    }
    return OCIGC_OK;
}

/* ---------------------------------------------------------------- sidecars */

/* Of a directory of labels: the sidecars of blobs that are gone. */
struct leftovers {
    const struct ocigc_segment *segment;
    const uint8_t *gone; /* a bit for each node */
    uint32_t *nodes;
    uint32_t count;
    uint32_t capacity;
};

static int32_t no_memory(const struct sweep *sweep)
{
    return ocigc_fail(sweep->error, OCIGC_NO_MEMORY, "out of memory");
}

/* All are found before the first is moved: a directory that changes may be listed with gaps. */
static int32_t find_leftovers(const struct sweep *sweep, struct leftovers *leftovers, struct ocigc_names *names,
                              struct ocigc_directory *labels)
{
    int taken;
    while ((taken = ocigc_names_take(names, labels)) > 0) {
        const struct dirent64 *entry;
        while ((entry = ocigc_names_next(names)) != NULL) {
            uint32_t node = ocigc_sidecar_node(leftovers->segment, entry->d_name);
            if (node == UINT32_MAX || (leftovers->gone[node / 8] >> node % 8 & 1) == 0)
                continue;
            if (!ocigc_reserve(&leftovers->nodes, &leftovers->capacity, leftovers->count, 1, sizeof node))
                return no_memory(sweep);
            leftovers->nodes[leftovers->count++] = node;
        }
    }
    if (taken < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot list labels/%s", leftovers->segment->name);
    return OCIGC_OK;
}

static int32_t move_leftovers(const struct sweep *sweep, const struct leftovers *leftovers, const struct way *way)
{
    const struct ocigc_segment *segment = leftovers->segment;
    char name[OCIGC_DIGEST_TEXT_MAX + sizeof ".json"];
    for (uint32_t i = 0; i < leftovers->count; i++) {
        uint32_t length = ocigc_segment_encoded(segment, leftovers->nodes[i] - segment->first, name);
        memcpy(name + length, ".json", sizeof ".json");
        int cause = move(way->labels, name, way->label_trash);
        if (cause != 0 && cause != ENOENT)
            return ocigc_fail_system(sweep->error, cause, "cannot move labels/%s/%s into the trash", segment->name,
                                     name);
    }
    return OCIGC_OK;
}

static int32_t sweep_labels(const struct sweep *sweep, const struct ocigc_segment *segment, const struct way *way,
                            const uint8_t *gone)
{
    struct leftovers leftovers = {.segment = segment, .gone = gone};
    struct ocigc_directory labels;
    struct ocigc_names names;
    int descriptor = ocigc_open_directory(way->labels, ".");
    if (descriptor < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot open labels/%s", segment->name);
    ocigc_directory_init(&labels, descriptor);
    int32_t code = ocigc_names_init(&names) ? find_leftovers(sweep, &leftovers, &names, &labels) : no_memory(sweep);
    ocigc_names_free(&names);
    ocigc_directory_close(&labels);
    if (code == OCIGC_OK)
        code = move_leftovers(sweep, &leftovers, way);
    free(leftovers.nodes);
    return code;
}

/* Sidecars follow their blobs. They are listed: most blobs have none, and to try for one costs as much as to move it. */
static int32_t sweep_sidecars(const struct sweep *sweep)
{
    const struct ocigc_store *store = sweep->store;
    uint8_t *gone = calloc(store->count / 8 + 1, 1);
    if (gone == NULL)
        return no_memory(sweep);
    for (size_t i = 0; i < sweep->count; i++)
        if (sweep->fates[i] == OCIGC_FATE_MOVED || sweep->fates[i] == OCIGC_FATE_MISSING)
            gone[sweep->nodes[i] / 8] |= (uint8_t)(1u << sweep->nodes[i] % 8);
    int32_t code = OCIGC_OK;
    for (uint32_t i = 0; i < store->segment_count && code == OCIGC_OK; i++)
        if (sweep->ways[i].labels >= 0)
            code = sweep_labels(sweep, &store->segments[i], &sweep->ways[i], gone);
    free(gone);
    return code;
}

/* ------------------------------------------------------------------- sweep */

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
    int32_t code = OCIGC_OK;
    sweep.error = error;
    for (size_t i = 0; i < count; i++)
        fates[i] = OCIGC_FATE_KEPT;
    sweep.ways = malloc((store->segment_count + 1) * sizeof *sweep.ways);
    if (sweep.ways == NULL)
        return no_memory(&sweep);
    for (uint32_t i = 0; i < store->segment_count; i++) {
        sweep.ways[i] = (struct way){-1, -1, -1, -1};
        if (code == OCIGC_OK && store->segments[i].algorithm != OCIGC_ALGORITHM_OTHER)
            code = open_way(store, &store->segments[i], trash, &sweep.ways[i], error);
    }
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
    if (store->link_count > 0)
        check_links(&sweep);
    if (code == OCIGC_OK)
        code = sweep_blobs(&sweep);
    if (code == OCIGC_OK)
        code = sweep_sidecars(&sweep);
    for (uint32_t i = 0; i < store->segment_count; i++)
        close_way(&sweep.ways[i]);
    free(sweep.ways);
    return code;
}
