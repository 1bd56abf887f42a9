/* labels.c - the label files below labels/: which blobs are roots, and what keeps what by a label. */
#include "base/vector.h"
#include "store/archive.h"
#include "store/disk_order.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/names.h"
#include "store/parallel.h"
#include "json/scanner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_LIMIT = 1 << 20,
    SHARE = 8,             /* files that a thread takes at a time */
    SAMPLES = 8,           /* files that tell whether all come from the disk */
    LABEL_LIMIT = 1 << 22, /* labels in all; what is made of a file takes no more memory than that of 4 million */
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

/* One thread's memory, and what the file that it reads now says. */
struct reader {
    const ocigc_store *store;
    char *bytes; /* of the file */
    char *key;   /* decoded, as is the value */
    char *value;
    uint32_t *targets; /* edges */
    uint8_t *kinds;
    uint32_t edge_count, target_capacity, kind_capacity;
    struct ocigc_label *labels;
    uint32_t label_count, label_capacity;
    char *text; /* of the labels */
    uint32_t text_length, text_capacity;
    struct ocigc_missing *missing;
    uint32_t missing_count, missing_capacity;
    char *missing_text;
    uint32_t missing_text_length, missing_text_capacity;
};

static bool take_missing(struct reader *reader, size_t length)
{
    uint32_t text = (uint32_t)length;
    if ((reader->store->graph->record & OCIGC_RECORD_DESCRIPTORS) == 0)
        return true;
    if (!ocigc_reserve(&reader->missing, &reader->missing_capacity, reader->missing_count, 1,
                       sizeof *reader->missing) ||
        !ocigc_reserve(&reader->missing_text, &reader->missing_text_capacity, reader->missing_text_length, text, 1))
        return false;
    reader->missing[reader->missing_count++] = (struct ocigc_missing){
        .digest = {reader->missing_text_length, text},
        .role = OCIGC_ROLE_LABEL,
        .media = OCIGC_MEDIA_NONE,
    };
    memcpy(reader->missing_text + reader->missing_text_length, reader->value, text);
    reader->missing_text_length += text;
    return true;
}

static bool add_edge(struct reader *reader, uint32_t target, int32_t role)
{
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, reader->edge_count, 1, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, reader->edge_count, 1, sizeof *reader->kinds))
        return false;
    reader->targets[reader->edge_count] = target;
    reader->kinds[reader->edge_count++] = ocigc_kind_of_edge(role, OCIGC_MEDIA_NONE);
    return true;
}

static bool add_label(struct reader *reader, int32_t kind, const char *value, size_t length)
{
    uint32_t text = (uint32_t)length;
    if (!ocigc_reserve(&reader->labels, &reader->label_capacity, reader->label_count, 1, sizeof *reader->labels) ||
        !ocigc_reserve(&reader->text, &reader->text_capacity, reader->text_length, text, 1))
        return false;
    struct ocigc_span span = {reader->text_length, text};
    reader->labels[reader->label_count++] = (struct ocigc_label){.kind = kind, .value = span};
    if (text > 0)
        memcpy(reader->text + reader->text_length, value, text);
    reader->text_length += text;
    return true;
}

/* An edge to, or from, the content that a label names. */
static bool add_content(struct reader *reader, bool is_back, size_t key_length, size_t length)
{
    struct ocigc_digest digest;
    if (!ocigc_digest_read(reader->value, length, &digest)) /* forward, containerd ignores it */
        return !is_back || add_label(reader, OCIGC_LABEL_UNKNOWN, reader->key, key_length);
    uint32_t target = ocigc_store_find_digest(reader->store, &digest, reader->value, length);
    if (target != UINT32_MAX)
        return add_edge(reader, target, is_back ? OCIGC_ROLE_BACK : OCIGC_ROLE_LABEL);
    return is_back || (add_edge(reader, UINT32_MAX, OCIGC_ROLE_LABEL) && take_missing(reader, length));
}

static bool take_label(struct reader *reader, const struct ocigc_json_string *key,
                       const struct ocigc_json_string *value)
{
    size_t key_length = ocigc_json_decode(key, reader->key, FILE_LIMIT);
    size_t length = ocigc_json_decode(value, reader->value, FILE_LIMIT);
    switch (ocigc_label_meaning(reader->key, key_length)) {
    case OCIGC_LABEL_MEANS_ROOT:
        return add_label(reader, OCIGC_LABEL_ROOT, NULL, 0);
    case OCIGC_LABEL_MEANS_CONTENT:
        return add_content(reader, false, key_length, length);
    case OCIGC_LABEL_MEANS_CONTENT_BACK:
        return add_content(reader, true, key_length, length);
    case OCIGC_LABEL_MEANS_IMAGE:
        return add_label(reader, OCIGC_LABEL_IMAGE, reader->value, length);
    case OCIGC_LABEL_MEANS_IMAGE_BACK:
        return add_label(reader, OCIGC_LABEL_IMAGE_BACK, reader->value, length);
    case OCIGC_LABEL_MEANS_UNKNOWN:
        return add_label(reader, OCIGC_LABEL_UNKNOWN, reader->key, key_length);
    default:
        return true;
    }
}

static bool parse_members(struct reader *reader, struct ocigc_json *json)
{
    struct ocigc_json_string key, value;
    int more;
    if (!ocigc_json_enter_object(json))
        return false;
    while ((more = ocigc_json_next_member(json, &key)) == 1) {
        if (ocigc_json_peek(json) != '"')
            return ocigc_json_fail(json, "a label that is not a string");
        if (!ocigc_json_read_string(json, &value))
            return false;
        if (!take_label(reader, &key, &value))
            return ocigc_json_fail_memory(json);
    }
    return more == 0 && (ocigc_json_end(json) || ocigc_json_fail(json, "unexpected content after the labels"));
}

static int32_t parse(struct label_files *files, struct reader *reader, size_t length, const char *name,
                     struct ocigc_error *error)
{
    struct ocigc_json json;
    int32_t code = OCIGC_OK;
    ocigc_json_open(&json, reader->bytes, length, true);
    if (!parse_members(reader, &json)) {
        code = ocigc_json_is_out_of_memory(&json) ? OCIGC_NO_MEMORY : OCIGC_MALFORMED;
        ocigc_fail(error, code, "labels/%s/%s: %s%s%s", files->table->name, name, json.reason,
                   json.duplicate[0] != '\0' ? " " : "", json.duplicate);
        error->offset = json.position;
    }
    ocigc_json_close(&json);
    return code;
}

static bool add_labels(struct ocigc_graph *graph, const struct reader *reader, uint32_t node)
{
    if (!ocigc_reserve(&graph->labels, &graph->label_capacity, graph->label_count, reader->label_count,
                       sizeof *graph->labels) ||
        !ocigc_reserve(&graph->label_text, &graph->label_text_capacity, graph->label_text_length, reader->text_length,
                       1))
        return false;
    for (uint32_t i = 0; i < reader->label_count; i++) {
        struct ocigc_label *label = &graph->labels[graph->label_count++];
        *label = reader->labels[i];
        label->node = node;
        label->value.start += graph->label_text_length;
    }
    if (reader->text_length > 0)
        memcpy(graph->label_text + graph->label_text_length, reader->text, reader->text_length);
    graph->label_text_length += reader->text_length;
    return true;
}

static bool add_missing(struct ocigc_graph *graph, struct reader *reader, uint32_t node)
{
    for (uint32_t i = 0; i < reader->missing_count; i++) {
        reader->missing[i].node = node;
        if (!ocigc_graph_add_missing(graph, &reader->missing[i],
                                     reader->missing_text + reader->missing[i].digest.start))
            return false;
    }
    return true;
}

static int32_t hand_over(struct label_files *files, struct reader *reader, uint32_t node, struct ocigc_error *error)
{
    struct ocigc_graph *graph = files->store->graph;
    pthread_mutex_lock(&files->lock);
    bool is_many = reader->label_count > LABEL_LIMIT - graph->label_count;
    bool ok = !is_many && add_labels(graph, reader, node) && add_missing(graph, reader, node) &&
              ocigc_graph_add_edges(graph, node, reader->targets, reader->kinds, reader->edge_count);
    if (reader->edge_count > 0)
        ocigc_graph_set_flags(graph, node, OCIGC_NODE_LEADS_ON);
    pthread_mutex_unlock(&files->lock);
    if (is_many)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels: more than %d labels of garbage collection", LABEL_LIMIT);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

static void forget(struct reader *reader)
{
    reader->edge_count = reader->label_count = reader->text_length = 0;
    reader->missing_count = reader->missing_text_length = 0;
}

static int32_t read_open(struct label_files *files, struct reader *reader, int file, const char *name, size_t *length,
                         struct ocigc_error *error)
{
    const char *algorithm = files->table->name;
    struct stat status;
    if (fstat(file, &status) != 0)
        return ocigc_fail_system(error, errno, "cannot read the status of labels/%s/%s", algorithm, name);
    if (!S_ISREG(status.st_mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "labels/%s/%s is %s", algorithm, name,
                          ocigc_kind(status.st_mode));
    if (status.st_size > FILE_LIMIT)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels/%s/%s: over 1 MiB", algorithm, name);
    ssize_t got = ocigc_read_up_to(file, reader->bytes, FILE_LIMIT);
    if (got < 0)
        return ocigc_fail_system(error, errno, "cannot read labels/%s/%s", algorithm, name);
    if (got != status.st_size)
        return ocigc_fail(error, OCIGC_CHANGED, "labels/%s/%s changed while it was read", algorithm, name);
    *length = (size_t)got;
    return OCIGC_OK;
}

/* Reads it out of the directory. *length stays as it is if the file is gone. */
static int32_t read_file(struct label_files *files, struct reader *reader, const char *name, size_t *length,
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
static int32_t read_member(struct label_files *files, struct reader *reader, const struct label_file *item,
                           const char *name, size_t *length, struct ocigc_error *error)
{
    const char *algorithm = files->table->name;
    if (item->size > FILE_LIMIT)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels/%s/%s: over 1 MiB", algorithm, name);
    ssize_t got = ocigc_read_at(files->store->archive->file, item->inode, reader->bytes, item->size);
    if (got < 0)
        return ocigc_fail_system(error, errno, "cannot read labels/%s/%s", algorithm, name);
    if (got != (ssize_t)item->size)
        return ocigc_fail(error, OCIGC_CHANGED, "labels/%s/%s changed while it was read", algorithm, name);
    *length = item->size;
    return OCIGC_OK;
}

static int32_t read_label_file(struct label_files *files, struct reader *reader, const struct label_file *item,
                               const char *name, struct ocigc_error *error)
{
    size_t length = GONE;
    uint32_t node = item->node;
    int32_t code = files->directory < 0 ? read_member(files, reader, item, name, &length, error)
                                        : read_file(files, reader, name, &length, error);
    if (code == OCIGC_OK && length == GONE)
        return OCIGC_OK;
    if (code == OCIGC_OK)
        code = parse(files, reader, length, name, error);
    if (code == OCIGC_OK)
        code = hand_over(files, reader, node, error);
    forget(reader);
    return code;
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

static int32_t read_share(struct label_files *files, struct reader *reader, uint32_t first, struct ocigc_error *error)
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
    struct reader reader = {.store = files->store};
    struct ocigc_error error;
    uint32_t first;
    reader.bytes = malloc(FILE_LIMIT);
    reader.key = malloc(FILE_LIMIT);
    reader.value = malloc(FILE_LIMIT);
    bool ready = reader.bytes != NULL && reader.key != NULL && reader.value != NULL;
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
    free(reader.bytes);
    free(reader.key);
    free(reader.value);
    free(reader.targets);
    free(reader.kinds);
    free(reader.labels);
    free(reader.text);
    free(reader.missing);
    free(reader.missing_text);
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
