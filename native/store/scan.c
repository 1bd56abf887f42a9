/* scan.c - lists blobs/: a table for each algorithm, and foreign files. */
#include "base/vector.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/names.h"
#include "store/parallel.h"
#include "store/scan_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_KEPT = 1000 };

bool ocigc_store_keep_foreign(ocigc_store *store, const char *directory, const char *name)
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

static bool is_algorithm(const char *name)
{
    if (ocigc_algorithm_of(name, strlen(name)) != OCIGC_ALGORITHM_OTHER)
        return true;
    char text[NAME_MAX + 3];
    int written = snprintf(text, sizeof text, "%s:0", name);
    return written > 0 && ocigc_digest_grammar(text, (size_t)written) >= 0;
}

static bool add_table(ocigc_store *store, const char *name)
{
    return ocigc_reserve(&store->tables, &store->table_capacity, store->table_count, 1, sizeof *store->tables) &&
           ocigc_table_init(&store->tables[store->table_count++], name, store->detail);
}

static int32_t take_top_name(ocigc_store *store, const struct dirent64 *entry, struct ocigc_error *error)
{
    mode_t mode;
    int cause = ocigc_entry_mode(store->blobs, entry, &mode);
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the status of blobs/%s", entry->d_name);
    if (mode == 0)
        return OCIGC_OK;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "blobs/%s is %s", entry->d_name, ocigc_kind(mode));
    if (S_ISREG(mode) || !is_algorithm(entry->d_name))
        return ocigc_store_keep_foreign(store, "", entry->d_name) ? OCIGC_OK : ocigc_fail_memory(error);
    return add_table(store, entry->d_name) ? OCIGC_OK : ocigc_fail_memory(error);
}

static int32_t list_tables(ocigc_store *store, struct ocigc_error *error)
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
        code = ocigc_fail_memory(error);
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
    if (ocigc_stat(store->layout, "blobs", &status) == 0 && !S_ISDIR(status.st_mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "blobs is %s", ocigc_kind(status.st_mode));
    return ocigc_fail_system(error, cause, "cannot open blobs");
}

static int by_table_name(const void *left, const void *right)
{
    return strcmp(((const struct ocigc_digest_table *)left)->name, ((const struct ocigc_digest_table *)right)->name);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Makes tables for the algorithms that have only shared blobs. */
static int32_t add_shared_tables(ocigc_store *store, struct ocigc_error *error)
{
    for (int32_t algorithm = OCIGC_SHA256; algorithm <= OCIGC_BLAKE3; algorithm++) {
        const char *name = ocigc_algorithm_name(algorithm);
        bool listed = false;
        for (uint32_t i = 0; i < store->table_count; i++)
            listed |= strcmp(store->tables[i].name, name) == 0;
        if (!listed && !add_table(store, name))
            return ocigc_fail_memory(error);
    }
    return OCIGC_OK;
}

static int32_t scan_store(ocigc_store *store, const struct ocigc_elsewhere *elsewhere, uint32_t threads,
                          struct ocigc_progress *progress, struct ocigc_error *error)
{
    int32_t code = open_blobs(store, error);
    if (code == OCIGC_OK && store->blobs >= 0)
        code = list_tables(store, error);
    if (code == OCIGC_OK && elsewhere->directory >= 0)
        code = add_shared_tables(store, error);
    if (code != OCIGC_OK)
        return code;
    if (store->table_count > 0)
        qsort(store->tables, store->table_count, sizeof *store->tables, by_table_name);
    for (uint32_t i = 0; i < store->table_count; i++) {
        struct ocigc_digest_table *table = &store->tables[i];
        code = ocigc_scan_directory(store, table, elsewhere, threads, progress, error);
        if (code != OCIGC_OK)
            return code;
        /* UINT32_MAX is not a node. */
        if (table->count >= UINT32_MAX - store->count)
            return ocigc_fail(error, OCIGC_NO_MEMORY, "more than 4294967294 blobs");
        table->first = store->count;
        store->count += table->count;
    }
    if (store->foreign_kept > 0)
        qsort(store->foreign, store->foreign_kept, sizeof *store->foreign, by_text);
    store->graph = ocigc_graph_new(store->count);
    return store->graph != NULL ? OCIGC_OK : ocigc_fail_memory(error);
}

static int32_t scan(int32_t layout, const struct ocigc_elsewhere *elsewhere, int32_t detail, uint32_t threads,
                    ocigc_store **store, struct ocigc_progress *progress, struct ocigc_error *error)
{
    ocigc_store *scanned = calloc(1, sizeof *scanned);
    int32_t code;
    if (scanned == NULL)
        return ocigc_fail_memory(error);
    scanned->blobs = -1;
    scanned->detail = detail;
    scanned->began = ocigc_now();
    scanned->layout = fcntl(layout, F_DUPFD_CLOEXEC, 0);
    if (scanned->layout < 0)
        code = ocigc_fail_system(error, errno, "cannot open the layout");
    else
        code = scan_store(scanned, elsewhere, ocigc_thread_count(threads), progress, error);
    if (code == OCIGC_OK)
        *store = scanned;
    else
        ocigc_store_free(scanned);
    return code;
}

int32_t ocigc_store_scan(int32_t layout, int32_t detail, uint32_t threads, ocigc_store **store,
                         struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct ocigc_elsewhere nowhere = {.directory = -1};
    return scan(layout, &nowhere, detail, threads, store, progress, error);
}

int32_t ocigc_store_scan_shared(int32_t layout, int32_t shared, const char *wanted, size_t length, int32_t detail,
                                uint32_t threads, ocigc_store **store, struct ocigc_progress *progress,
                                struct ocigc_error *error)
{
    struct ocigc_elsewhere elsewhere = {.directory = shared, .wanted = wanted, .length = length};
    return scan(layout, &elsewhere, detail, threads, store, progress, error);
}
