/* scan.c - what lies below blobs/, into sorted segments. Where only names are wanted, of the files nothing is asked but what
 * the directory says of their kind; else one thread asks for files while another lists further names. */
#include "common/vector.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/names.h"
#include "store/parallel.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOREIGN_KEPT = 1000 };

/* One directory's scan, shared by the threads. */
struct scan {
    ocigc_store *store;
    struct ocigc_segment *segment;
    struct ocigc_directory directory;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of all that is behind it, and of the store */
    int32_t code;
    struct ocigc_error *error;
};

/* What one thread has found and not yet handed over. */
struct share {
    struct ocigc_names names;
    struct ocigc_segment found;
};

static int32_t no_memory(struct ocigc_error *error)
{
    return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
}

static bool keep_foreign(ocigc_store *store, const char *directory, const char *name)
{
    store->foreign_count++;
    if (store->foreign_kept == FOREIGN_KEPT)
        return true;
    if (!ocigc_reserve(&store->foreign, &store->foreign_capacity, store->foreign_kept, 1, sizeof *store->foreign))
        return false;
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", directory, *directory != '\0' ? "/" : "", name) < 0)
        return false;
    store->foreign[store->foreign_kept++] = path;
    return true;
}

/* What kind of file a name is; 0 where it is gone. */
static int32_t mode_of(int directory, const struct dirent64 *entry, mode_t *mode)
{
    if (entry->d_type != DT_UNKNOWN) {
        *mode = DTTOIF(entry->d_type);
        return 0;
    }
    struct stat status;
    int cause = ocigc_status(directory, entry->d_name, &status);
    *mode = cause == 0 ? status.st_mode : 0;
    return cause == ENOENT ? 0 : cause;
}

static int32_t refuse(struct scan *scan, const char *name, mode_t mode)
{
    return ocigc_fail(scan->error, OCIGC_LAYOUT, "blobs/%s/%s is %s", scan->segment->name, name, ocigc_kind(mode));
}

static int32_t take_other_name(struct scan *scan, const struct dirent64 *entry)
{
    mode_t mode;
    int cause = mode_of(scan->directory.descriptor, entry, &mode);
    if (cause != 0)
        return ocigc_fail_system(scan->error, cause, "cannot read the status of blobs/%s/%s", scan->segment->name,
                                 entry->d_name);
    if (mode == 0)
        return OCIGC_OK;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return refuse(scan, entry->d_name, mode);
    return keep_foreign(scan->store, scan->segment->name, entry->d_name) ? OCIGC_OK : no_memory(scan->error);
}

/* The same, with all of its status where the scan is to keep that. */
static int32_t look(const struct scan *scan, const struct dirent64 *entry, struct stat *status, mode_t *mode)
{
    if (scan->store->depth == OCIGC_NAMES)
        return mode_of(scan->directory.descriptor, entry, mode);
    int cause = ocigc_status(scan->directory.descriptor, entry->d_name, status);
    *mode = cause == 0 ? status->st_mode : 0;
    return cause == ENOENT ? 0 : cause;
}

static int32_t add_blob(struct scan *scan, struct share *share, const uint8_t *digest, const char *name,
                        const struct stat *status)
{
    if (!ocigc_segment_add(&share->found, digest, name))
        return OCIGC_NO_MEMORY;
    if (scan->store->depth == OCIGC_NAMES)
        return OCIGC_OK;
    struct ocigc_segment *found = &share->found;
    if (!ocigc_facts_make(scan->store, &scan->lock, status, ocigc_segment_facts(found, found->count - 1)))
        return OCIGC_NO_MEMORY;
    if (scan->store->depth == OCIGC_IDENTITIES)
        *ocigc_segment_identity(found, found->count - 1) = (struct ocigc_identity){
            .device = (uint64_t)status->st_dev,
            .inode = (uint64_t)status->st_ino,
            .modified = ocigc_nanoseconds(status->st_mtim),
            .changed = ocigc_nanoseconds(status->st_ctim),
        };
    return OCIGC_OK;
}

static int32_t take_blob(struct scan *scan, struct share *share, const uint8_t *digest, const struct dirent64 *entry)
{
    struct stat status;
    mode_t mode;
    int cause = look(scan, entry, &status, &mode);
    if (cause == 0 && mode == 0)
        return OCIGC_OK;
    const char *algorithm = scan->segment->name;
    bool registered = scan->segment->algorithm != OCIGC_ALGORITHM_OTHER;
    int32_t code = OCIGC_OK;
    if (cause == 0 && S_ISREG(mode))
        return add_blob(scan, share, digest, entry->d_name, &status);
    pthread_mutex_lock(&scan->lock);
    if (scan->code != OCIGC_OK)
        code = scan->code;
    else if (cause != 0)
        code = ocigc_fail_system(scan->error, cause, "cannot read the status of blobs/%s/%s", algorithm, entry->d_name);
    else if (registered || !S_ISDIR(mode))
        code = refuse(scan, entry->d_name, mode);
    else if (!keep_foreign(scan->store, algorithm, entry->d_name))
        code = no_memory(scan->error);
    scan->code = code;
    pthread_mutex_unlock(&scan->lock);
    return code;
}

/* The digest that a name is: decoded into `digest`, or valid under an unregistered algorithm. */
static bool is_encoded(const struct ocigc_segment *segment, const char *name, uint8_t *digest)
{
    size_t length = strlen(name);
    if (segment->algorithm != OCIGC_ALGORITHM_OTHER)
        return ocigc_hex_decode(name, length, digest, segment->width) == 0;
    char text[2 * (NAME_MAX + 1)];
    int written = snprintf(text, sizeof text, "%s:%s", segment->name, name);
    return written > 0 && ocigc_digest_grammar(text, (size_t)written) >= 0;
}

static int32_t take_names(struct scan *scan, struct share *share)
{
    const struct dirent64 *entry;
    while ((entry = ocigc_names_next(&share->names)) != NULL) {
        uint8_t digest[64];
        int32_t code;
        if (is_encoded(scan->segment, entry->d_name, digest)) {
            code = take_blob(scan, share, digest, entry);
        } else {
            pthread_mutex_lock(&scan->lock);
            code = scan->code != OCIGC_OK ? scan->code : take_other_name(scan, entry);
            scan->code = code;
            pthread_mutex_unlock(&scan->lock);
        }
        if (code != OCIGC_OK)
            return code;
    }
    return OCIGC_OK;
}

static int32_t hand_over(struct scan *scan, struct share *share)
{
    ocigc_progress_add(scan->progress, share->found.count, 0);
    pthread_mutex_lock(&scan->lock);
    bool taken = ocigc_segment_take(scan->segment, &share->found);
    int32_t code = scan->code;
    pthread_mutex_unlock(&scan->lock);
    return taken ? code : OCIGC_NO_MEMORY;
}

static int32_t scan_share(struct scan *scan, struct share *share)
{
    int taken;
    while ((taken = ocigc_names_take(&share->names, &scan->directory)) > 0) {
        if (ocigc_cancelled(scan->progress))
            return OCIGC_CANCELLED;
        int32_t code = take_names(scan, share);
        if (code == OCIGC_OK)
            code = hand_over(scan, share);
        if (code != OCIGC_OK)
            return code;
    }
    return taken == 0 ? OCIGC_OK : OCIGC_SYSTEM;
}

static void scan_worker(void *context)
{
    struct scan *scan = context;
    struct share share = {0};
    int32_t code = OCIGC_NO_MEMORY;
    bool ready = ocigc_segment_init(&share.found, scan->segment->name, scan->store->depth);
    if (ocigc_names_init(&share.names) && ready)
        code = scan_share(scan, &share);
    int cause = errno;
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&scan->lock);
        if (scan->code == OCIGC_OK) {
            scan->code = code;
            if (code == OCIGC_SYSTEM)
                ocigc_fail_system(scan->error, cause, "cannot list blobs/%s", scan->segment->name);
            else if (code == OCIGC_CANCELLED)
                ocigc_fail(scan->error, code, "cancelled");
            else
                no_memory(scan->error);
        }
        pthread_mutex_unlock(&scan->lock);
    }
    ocigc_names_free(&share.names);
    ocigc_segment_free(&share.found);
}

/* Names are listed by one thread at a time, which takes longer than what is done with them. Anybody can make a
 * directory of an unregistered algorithm, and ever so many: those get no threads. */
static uint32_t useful_threads(const struct ocigc_segment *segment, int32_t depth, uint32_t threads)
{
    if (segment->algorithm == OCIGC_ALGORITHM_OTHER)
        return 1;
    return depth == OCIGC_NAMES && threads > 2 ? 2 : threads;
}

static int32_t scan_segment(ocigc_store *store, struct ocigc_segment *segment, uint32_t threads,
                            struct ocigc_progress *progress, struct ocigc_error *error)
{
    int directory = ocigc_open_directory(store->blobs, segment->name);
    if (directory < 0)
        return ocigc_fail_system(error, errno, "cannot open blobs/%s", segment->name);
    if (segment->algorithm != OCIGC_ALGORITHM_OTHER) {
        segment->directory = fcntl(directory, F_DUPFD_CLOEXEC, 0);
        if (segment->directory < 0) {
            int32_t code = ocigc_fail_system(error, errno, "cannot open blobs/%s", segment->name);
            close(directory);
            return code;
        }
    }
    struct scan scan = {.store = store, .segment = segment, .progress = progress, .error = error};
    pthread_mutex_init(&scan.lock, NULL);
    ocigc_directory_init(&scan.directory, directory);
    ocigc_parallel(useful_threads(segment, store->depth, threads), scan_worker, &scan);
    ocigc_directory_close(&scan.directory);
    pthread_mutex_destroy(&scan.lock);
    if (scan.code == OCIGC_OK && !ocigc_segment_seal(segment, threads))
        return no_memory(error);
    return scan.code;
}

static bool is_algorithm(const char *name)
{
    if (ocigc_algorithm_of(name, strlen(name)) != OCIGC_ALGORITHM_OTHER)
        return true;
    char text[NAME_MAX + 3];
    int written = snprintf(text, sizeof text, "%s:0", name);
    return written > 0 && ocigc_digest_grammar(text, (size_t)written) >= 0;
}

static int32_t take_top_name(ocigc_store *store, const struct dirent64 *entry, struct ocigc_error *error)
{
    mode_t mode;
    int cause = mode_of(store->blobs, entry, &mode);
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the status of blobs/%s", entry->d_name);
    if (mode == 0)
        return OCIGC_OK;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return ocigc_fail(error, OCIGC_LAYOUT, "blobs/%s is %s", entry->d_name, ocigc_kind(mode));
    if (S_ISREG(mode) || !is_algorithm(entry->d_name))
        return keep_foreign(store, "", entry->d_name) ? OCIGC_OK : no_memory(error);
    if (!ocigc_reserve(&store->segments, &store->segment_capacity, store->segment_count, 1, sizeof *store->segments))
        return no_memory(error);
    struct ocigc_segment *segment = &store->segments[store->segment_count++];
    bool made = ocigc_segment_init(segment, entry->d_name, store->depth);
    return made ? OCIGC_OK : no_memory(error);
}

static int32_t list_segments(ocigc_store *store, struct ocigc_error *error)
{
    struct ocigc_directory directory;
    struct ocigc_names names;
    int descriptor = ocigc_open_directory(store->layout, "blobs");
    if (descriptor < 0)
        return ocigc_fail_system(error, errno, "cannot open blobs");
    ocigc_directory_init(&directory, descriptor);
    int32_t code = OCIGC_OK;
    int taken = 0;
    if (!ocigc_names_init(&names))
        code = no_memory(error);
    while (code == OCIGC_OK && (taken = ocigc_names_take(&names, &directory)) > 0) {
        const struct dirent64 *entry;
        while (code == OCIGC_OK && (entry = ocigc_names_next(&names)) != NULL)
            code = take_top_name(store, entry, error);
    }
    if (taken < 0)
        code = ocigc_fail_system(error, errno, "cannot list blobs");
    ocigc_names_free(&names);
    ocigc_directory_close(&directory);
    return code;
}

static int32_t open_blobs(ocigc_store *store, struct ocigc_error *error)
{
    store->blobs = ocigc_open_directory(store->layout, "blobs");
    if (store->blobs >= 0 || errno == ENOENT)
        return OCIGC_OK;
    int cause = errno;
    struct stat status;
    if (ocigc_status(store->layout, "blobs", &status) == 0 && !S_ISDIR(status.st_mode))
        return ocigc_fail(error, OCIGC_LAYOUT, "blobs is %s", ocigc_kind(status.st_mode));
    return ocigc_fail_system(error, cause, "cannot open blobs");
}

static int by_segment_name(const void *left, const void *right)
{
    return strcmp(((const struct ocigc_segment *)left)->name, ((const struct ocigc_segment *)right)->name);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int32_t scan_store(ocigc_store *store, uint32_t threads, struct ocigc_progress *progress,
                          struct ocigc_error *error)
{
    int32_t code = open_blobs(store, error);
    if (code == OCIGC_OK && store->blobs >= 0)
        code = list_segments(store, error);
    if (code != OCIGC_OK)
        return code;
    if (store->segment_count > 0)
        qsort(store->segments, store->segment_count, sizeof *store->segments, by_segment_name);
    for (uint32_t i = 0; i < store->segment_count; i++) {
        struct ocigc_segment *segment = &store->segments[i];
        code = scan_segment(store, segment, threads, progress, error);
        if (code != OCIGC_OK)
            return code;
        /* UINT32_MAX is nobody's number. */
        if (segment->count >= UINT32_MAX - store->count)
            return ocigc_fail(error, OCIGC_NO_MEMORY, "more than 4294967294 blobs");
        segment->first = store->count;
        store->count += segment->count;
    }
    if (store->foreign_kept > 0)
        qsort(store->foreign, store->foreign_kept, sizeof *store->foreign, by_text);
    store->graph = ocigc_graph_new(store->count);
    return store->graph != NULL ? OCIGC_OK : no_memory(error);
}

ocigc_store *ocigc_store_scan(int32_t layout, int32_t depth, uint32_t threads, struct ocigc_progress *progress,
                              struct ocigc_error *error)
{
    ocigc_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        no_memory(error);
        return NULL;
    }
    store->blobs = -1;
    store->depth = depth;
    store->began = ocigc_now();
    store->layout = fcntl(layout, F_DUPFD_CLOEXEC, 0);
    if (store->layout < 0)
        ocigc_fail_system(error, errno, "cannot open the layout");
    else if (scan_store(store, ocigc_thread_count(threads), progress, error) == OCIGC_OK)
        return store;
    ocigc_store_free(store);
    return NULL;
}
