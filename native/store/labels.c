/* labels.c - lists the label files below labels/, or in an archive, and reads them all on several threads. */
#include "base/vector.h"
#include "store/archive.h"
#include "store/disk_order.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/label_reader.h"
#include "store/names.h"
#include "store/parallel.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SHARE = 8,   /* files that a thread takes at a time */
    SAMPLES = 8, /* files that tell whether all come from the disk */
};

static const char SUFFIX[] = ".json";
#define GONE SIZE_MAX

struct label_file {
    uint64_t inode; /* where it begins, in an archive */
    uint32_t node;
    uint32_t size; /* in an archive */
};

/* One directory's label files, shared by the threads. */
struct label_files {
    ocigc_store *store;
    const struct ocigc_digest_table *table;
    int directory;            /* -1 in an archive */
    struct label_file *items; /* by inode: so each block of inodes is read once */
    uint32_t count, capacity;
    uint32_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* guards the graph, and what follows */
    int32_t code;
    struct ocigc_error error;
};

static int32_t read_open(struct label_files *files, struct ocigc_label_reader *reader, int file, const char *name,
                         size_t *length, struct ocigc_error *error)
{
    const char *algorithm = files->table->name;
    struct stat status;
    if (fstat(file, &status) != 0)
        return ocigc_fail_system(error, errno, "cannot read the status of labels/%s/%s", algorithm, name);
    if (!S_ISREG(status.st_mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "labels/%s/%s is %s", algorithm, name,
                          ocigc_kind(status.st_mode));
    if (status.st_size > OCIGC_LABEL_FILE_MAX)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels/%s/%s: over 1 MiB", algorithm, name);
    ssize_t got = ocigc_read_up_to(file, reader->bytes, OCIGC_LABEL_FILE_MAX);
    if (got < 0)
        return ocigc_fail_system(error, errno, "cannot read labels/%s/%s", algorithm, name);
    if (got != status.st_size)
        return ocigc_fail(error, OCIGC_CHANGED, "labels/%s/%s changed while it was read", algorithm, name);
    *length = (size_t)got;
    return OCIGC_OK;
}

/* Reads it out of the directory. *length stays as it is if the file is gone. */
static int32_t read_file(struct label_files *files, struct ocigc_label_reader *reader, const char *name, size_t *length,
                         struct ocigc_error *error)
{
    int file = ocigc_open_file(files->directory, name);
    if (file < 0 && errno == ENOENT)
        return OCIGC_OK;
    if (file < 0 && (errno == ELOOP || errno == ENXIO))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "labels/%s/%s is not a regular file", files->table->name, name);
    if (file < 0)
        return ocigc_fail_system(error, errno, "cannot open labels/%s/%s", files->table->name, name);
    int32_t code = read_open(files, reader, file, name, length, error);
    close(file);
    return code;
}

/* Reads it out of an archive. */
static int32_t read_member(struct label_files *files, struct ocigc_label_reader *reader, const struct label_file *item,
                           const char *name, size_t *length, struct ocigc_error *error)
{
    const char *algorithm = files->table->name;
    if (item->size > OCIGC_LABEL_FILE_MAX)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels/%s/%s: over 1 MiB", algorithm, name);
    ssize_t got = ocigc_read_at(files->store->archive->file, item->inode, reader->bytes, item->size);
    if (got < 0)
        return ocigc_fail_system(error, errno, "cannot read labels/%s/%s", algorithm, name);
    if (got != (ssize_t)item->size)
        return ocigc_fail(error, OCIGC_CHANGED, "labels/%s/%s changed while it was read", algorithm, name);
    *length = item->size;
    return OCIGC_OK;
}

static int32_t read_label_file(struct label_files *files, struct ocigc_label_reader *reader,
                               const struct label_file *item, const char *name, struct ocigc_error *error)
{
    size_t length = GONE;
    int32_t code = files->directory < 0 ? read_member(files, reader, item, name, &length, error)
                                        : read_file(files, reader, name, &length, error);
    if (code != OCIGC_OK || length == GONE)
        return code;
    return ocigc_label_reader_read(reader, item->node, name, length, &files->lock, error);
}

uint32_t ocigc_label_file_node(const struct ocigc_digest_table *table, const char *name)
{
    size_t length = strlen(name), suffix = sizeof SUFFIX - 1;
    if (length <= suffix || memcmp(name + length - suffix, SUFFIX, suffix) != 0)
        return UINT32_MAX;
    uint32_t position = ocigc_table_find(table, name, length - suffix);
    return position == UINT32_MAX ? UINT32_MAX : table->first + position;
}

static int by_inode(const void *left, const void *right)
{
    const struct label_file *a = left, *b = right;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

/* Lists the label files of present blobs. */
static int32_t list(struct label_files *files, struct ocigc_error *error)
{
    struct ocigc_directory directory;
    struct ocigc_names names;
    int32_t code = OCIGC_OK;
    int taken = 0, descriptor = ocigc_open_directory(files->directory, ".");
    if (descriptor < 0)
        return ocigc_fail_system(error, errno, "cannot open labels/%s", files->table->name);
    ocigc_directory_init(&directory, descriptor);
    if (!ocigc_names_init(&names))
        code = ocigc_fail_memory(error);
    while (code == OCIGC_OK && (taken = ocigc_names_take(&names, &directory)) > 0) {
        const struct dirent64 *entry;
        while (code == OCIGC_OK && (entry = ocigc_names_next(&names)) != NULL) {
            uint32_t node = ocigc_label_file_node(files->table, entry->d_name);
            if (node == UINT32_MAX)
                continue;
            if (!ocigc_reserve(&files->items, &files->capacity, files->count, 1, sizeof *files->items))
                code = ocigc_fail_memory(error);
            else
                files->items[files->count++] = (struct label_file){.inode = entry->d_ino, .node = node};
        }
    }
    if (taken < 0)
        code = ocigc_fail_system(error, errno, "cannot list labels/%s", files->table->name);
    ocigc_names_free(&names);
    ocigc_directory_close(&directory);
    if (files->count > 0)
        qsort(files->items, files->count, sizeof *files->items, by_inode);
    return code;
}

static void write_name(const struct label_files *files, uint32_t node, char *name)
{
    uint32_t length = ocigc_table_encoded(files->table, node - files->table->first, name);
    memcpy(name + length, SUFFIX, sizeof SUFFIX);
}

static int32_t read_share(struct label_files *files, struct ocigc_label_reader *reader, uint32_t first,
                          struct ocigc_error *error)
{
    uint32_t end = files->count - first < SHARE ? files->count : first + SHARE;
    char name[OCIGC_DIGEST_TEXT_MAX + sizeof SUFFIX];
    if (ocigc_cancelled(files->progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    for (uint32_t i = first; i < end; i++) {
        write_name(files, files->items[i].node, name);
        int32_t code = read_label_file(files, reader, &files->items[i], name, error);
        if (code != OCIGC_OK)
            return code;
    }
    ocigc_progress_add(files->progress, end - first, 0);
    return OCIGC_OK;
}

static void read_files(void *context)
{
    struct label_files *files = context;
    struct ocigc_label_reader reader;
    struct ocigc_error error;
    uint32_t first;
    bool ready = ocigc_label_reader_init(&reader, files->store, files->table->name);
    int32_t code = ready ? OCIGC_OK : ocigc_fail_memory(&error);
    while (code == OCIGC_OK && (first = __atomic_fetch_add(&files->next, SHARE, __ATOMIC_RELAXED)) < files->count)
        code = read_share(files, &reader, first, &error);
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&files->lock);
        if (files->code == OCIGC_OK) {
            files->code = code;
            files->error = error;
        }
        pthread_mutex_unlock(&files->lock);
    }
    ocigc_label_reader_free(&reader);
}

static bool is_cold(const struct label_files *files)
{
    uint32_t cold = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        char name[OCIGC_DIGEST_TEXT_MAX + sizeof SUFFIX];
        write_name(files, files->items[(uint64_t)files->count * i / SAMPLES].node, name);
        int file = files->directory < 0 ? -1 : ocigc_open_file(files->directory, name);
        if (file >= 0) {
            cold += !ocigc_is_in_memory(file, 0);
            close(file);
        }
    }
    return cold > SAMPLES / 2;
}

/* As many threads as there are cores, but many that wait for the disk. */
static uint32_t threads_for(const struct label_files *files)
{
    uint32_t useful = files->count / SHARE + 1;
    uint32_t threads = useful > SAMPLES && is_cold(files) ? OCIGC_COLD_THREADS : ocigc_thread_count(0);
    return useful < threads ? useful : threads;
}

/* Opens a directory that may be missing: -1 then, and *code is OCIGC_OK. */
static int open_optional(int parent, const char *name, const char *path, int32_t *code, struct ocigc_error *error)
{
    int directory = ocigc_open_directory(parent, name);
    *code = OCIGC_OK;
    if (directory >= 0 || errno == ENOENT)
        return directory;
    int cause = errno;
    struct stat status;
    if (ocigc_stat(parent, name, &status) == 0 && !S_ISDIR(status.st_mode))
        *code = ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "%s is %s", path, ocigc_kind(status.st_mode));
    else
        *code = ocigc_fail_system(error, cause, "cannot open %s", path);
    return -1;
}

/* Reads what has been listed, and frees the list. */
static int32_t read_all(struct label_files *files, struct ocigc_error *error)
{
    int32_t code = OCIGC_OK;
    if (files->count > 0) {
        pthread_mutex_init(&files->lock, NULL);
        ocigc_parallel(threads_for(files), read_files, files);
        pthread_mutex_destroy(&files->lock);
        code = files->code;
        if (code != OCIGC_OK && error != NULL)
            *error = files->error;
    }
    free(files->items);
    return code;
}

static int32_t read_directory(ocigc_store *store, const struct ocigc_digest_table *table, int labels,
                              struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct label_files files = {.store = store, .table = table, .progress = progress};
    char path[sizeof "labels/" + NAME_MAX];
    snprintf(path, sizeof path, "labels/%s", table->name);
    files.directory = open_optional(labels, table->name, path, &files.code, error);
    if (files.directory < 0)
        return files.code;
    int32_t code = list(&files, error);
    if (code == OCIGC_OK)
        code = read_all(&files, error);
    else
        free(files.items);
    close(files.directory);
    return code;
}

static int32_t read_directories(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error)
{
    int32_t code;
    int labels = open_optional(store->layout, "labels", "labels", &code, error);
    if (labels < 0)
        return code;
    for (uint32_t i = 0; code == OCIGC_OK && i < store->table_count; i++)
        code = read_directory(store, &store->tables[i], labels, progress, error);
    close(labels);
    return code;
}

static int32_t read_members(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error)
{
    const struct ocigc_archive *archive = store->archive;
    uint32_t next = 0;
    for (uint32_t i = 0; next < archive->label_count && i < store->table_count; i++) {
        const struct ocigc_digest_table *table = &store->tables[i];
        struct label_files files = {.store = store, .table = table, .directory = -1, .progress = progress};
        for (; next < archive->label_count && archive->labels[next].node - table->first < table->count; next++) {
            const struct ocigc_label_extent *label = &archive->labels[next];
            if (!ocigc_reserve(&files.items, &files.capacity, files.count, 1, sizeof *files.items)) {
                free(files.items);
                return ocigc_fail_memory(error);
            }
            files.items[files.count++] = (struct label_file){label->start, label->node, label->size};
        }
        int32_t code = read_all(&files, error);
        if (code != OCIGC_OK)
            return code;
    }
    return OCIGC_OK;
}

static int by_node(const void *left, const void *right, void *text)
{
    const struct ocigc_label *a = left, *b = right;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    size_t common = a->value.length < b->value.length ? a->value.length : b->value.length;
    int order = common > 0 ? memcmp((char *)text + a->value.start, (char *)text + b->value.start, common) : 0;
    return order != 0 ? order : (a->value.length > b->value.length) - (a->value.length < b->value.length);
}

int32_t ocigc_graph_read_labels(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct ocigc_graph *graph = store->graph;
    int32_t code =
        store->archive != NULL ? read_members(store, progress, error) : read_directories(store, progress, error);
    if (graph->label_count > 0)
        qsort_r(graph->labels, graph->label_count, sizeof *graph->labels, by_node, graph->label_text);
    ocigc_referrers_sort(graph);
    ocigc_graph_sort_records(graph);
    return code;
}

const struct ocigc_label *ocigc_graph_labels(const ocigc_store *store, uint32_t *count, const char **text)
{
    *count = store->graph->label_count;
    *text = store->graph->label_text;
    return store->graph->labels;
}
