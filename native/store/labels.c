/* labels.c - the sidecars below labels/: which blobs are roots, and which other blobs they hold. */
#include "base/vector.h"
#include "json/scanner.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/names.h"
#include "store/parallel.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDECAR_LIMIT = 1 << 20 };

static const char SUFFIX[] = ".json";
static const char ROOT_KEY[] = "containerd.io/gc.root";

/* One directory's sidecars, shared by the threads. */
struct sidecars {
    ocigc_store *store;
    const struct ocigc_digest_table *table;
    struct ocigc_directory directory;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of the graph, and of what follows */
    int32_t code;
    struct ocigc_error error;
};

/* One thread's memory, and what the sidecar that it reads now says. */
struct reader {
    const ocigc_store *store;
    struct ocigc_names names;
    char *bytes; /* of the sidecar */
    char *text;  /* a key or value of it, decoded */
    bool is_root;
    uint32_t *targets;
    uint8_t *kinds;
    uint32_t count, target_capacity, kind_capacity;
    char **missing;
    uint32_t missing_count, missing_capacity;
};

static const char NO_MEMORY[] = "out of memory";

static bool take_missing(struct reader *reader, const char *digest, size_t length)
{
    if (!reader->store->graph->record)
        return true;
    if (!ocigc_reserve(&reader->missing, &reader->missing_capacity, reader->missing_count, 1, sizeof *reader->missing))
        return false;
    reader->missing[reader->missing_count] = strndup(digest, length);
    return reader->missing[reader->missing_count++] != NULL;
}

/* An edge to what a label names by `length` bytes of the reader's text. */
static bool take_edge(struct reader *reader, const struct ocigc_digest *digest, size_t length)
{
    uint32_t target = ocigc_store_find_digest(reader->store, digest, reader->text, length);
    if (target == UINT32_MAX)
        return take_missing(reader, reader->text, length);
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, reader->count, 1, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, reader->count, 1, sizeof *reader->kinds))
        return false;
    reader->targets[reader->count] = target;
    reader->kinds[reader->count++] = ocigc_kind_of_edge(OCIGC_ROLE_LABEL, OCIGC_MEDIA_NONE);
    return true;
}

static bool take_label(struct reader *reader, const struct ocigc_json_string *key,
                       const struct ocigc_json_string *value)
{
    size_t length = ocigc_json_decode(key, reader->text, SIDECAR_LIMIT);
    if (length == sizeof ROOT_KEY - 1 && memcmp(reader->text, ROOT_KEY, length) == 0)
        reader->is_root = true;
    if (!ocigc_is_content_label(reader->text, length))
        return true;
    length = ocigc_json_decode(value, reader->text, SIDECAR_LIMIT);
    /* What is no digest is ignored, as containerd does. */
    struct ocigc_digest digest;
    return !ocigc_digest_read(reader->text, length, &digest) || take_edge(reader, &digest, length);
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
            return ocigc_json_fail(json, NO_MEMORY);
    }
    return more == 0 && (ocigc_json_end(json) || ocigc_json_fail(json, "unexpected content after the labels"));
}

static int32_t parse(struct sidecars *sidecars, struct reader *reader, size_t length, const char *name,
                     struct ocigc_error *error)
{
    struct ocigc_json json;
    int32_t code = OCIGC_OK;
    ocigc_json_open(&json, reader->bytes, length, true);
    if (!parse_members(reader, &json)) {
        code = json.reason == NO_MEMORY ? OCIGC_NO_MEMORY : OCIGC_MALFORMED;
        ocigc_fail(error, code, "labels/%s/%s: %s%s%s", sidecars->table->name, name, json.reason,
                   json.duplicate[0] != '\0' ? " " : "", json.duplicate);
        error->offset = json.position;
    }
    ocigc_json_close(&json);
    return code;
}

static int32_t hand_over(struct sidecars *sidecars, struct reader *reader, uint32_t node, struct ocigc_error *error)
{
    struct ocigc_graph *graph = sidecars->store->graph;
    bool ok = true;
    pthread_mutex_lock(&sidecars->lock);
    if (reader->is_root) {
        ok = ocigc_reserve(&graph->label_roots, &graph->label_root_capacity, graph->label_root_count, 1,
                             sizeof *graph->label_roots);
        if (ok)
            graph->label_roots[graph->label_root_count++] = node;
    }
    if (ok && reader->count > 0) {
        ok = ocigc_graph_add_edges(graph, node, reader->targets, reader->kinds, reader->count);
        ocigc_graph_set_flags(graph, node, OCIGC_NODE_LEADS_ON);
    }
    for (uint32_t i = 0; ok && i < reader->missing_count; i++)
        ok = ocigc_graph_add_missing(graph, reader->missing[i], (uint32_t)strlen(reader->missing[i]));
    pthread_mutex_unlock(&sidecars->lock);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

static void forget(struct reader *reader)
{
    while (reader->missing_count > 0)
        free(reader->missing[--reader->missing_count]);
    reader->is_root = false;
    reader->count = 0;
}

static int32_t read_open(struct sidecars *sidecars, struct reader *reader, int file, const char *name, size_t *length,
                         struct ocigc_error *error)
{
    const char *algorithm = sidecars->table->name;
    struct stat status;
    if (fstat(file, &status) != 0)
        return ocigc_fail_system(error, errno, "cannot read the status of labels/%s/%s", algorithm, name);
    if (!S_ISREG(status.st_mode))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "labels/%s/%s is %s", algorithm, name, ocigc_kind(status.st_mode));
    if (status.st_size > SIDECAR_LIMIT)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels/%s/%s: over 1 MiB", algorithm, name);
    ssize_t got = ocigc_read_up_to(file, reader->bytes, SIDECAR_LIMIT);
    if (got < 0)
        return ocigc_fail_system(error, errno, "cannot read labels/%s/%s", algorithm, name);
    if (got != status.st_size)
        return ocigc_fail(error, OCIGC_CHANGED, "labels/%s/%s changed while it was read", algorithm, name);
    *length = (size_t)got;
    return OCIGC_OK;
}

static int32_t read_sidecar(struct sidecars *sidecars, struct reader *reader, uint32_t node, const char *name,
                            struct ocigc_error *error)
{
    int file = ocigc_open_file(sidecars->directory.descriptor, name);
    if (file < 0 && errno == ENOENT)
        return OCIGC_OK;
    if (file < 0 && (errno == ELOOP || errno == ENXIO))
        return ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "labels/%s/%s is not a regular file", sidecars->table->name, name);
    if (file < 0)
        return ocigc_fail_system(error, errno, "cannot open labels/%s/%s", sidecars->table->name, name);
    size_t length = 0;
    int32_t code = read_open(sidecars, reader, file, name, &length, error);
    close(file);
    if (code == OCIGC_OK)
        code = parse(sidecars, reader, length, name, error);
    if (code == OCIGC_OK)
        code = hand_over(sidecars, reader, node, error);
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

static int32_t read_names(struct sidecars *sidecars, struct reader *reader, struct ocigc_error *error)
{
    int taken;
    while ((taken = ocigc_names_take(&reader->names, &sidecars->directory)) > 0) {
        const struct dirent64 *entry;
        uint64_t items = 0;
        if (ocigc_cancelled(sidecars->progress))
            return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
        while ((entry = ocigc_names_next(&reader->names)) != NULL) {
            uint32_t node = ocigc_label_file_node(sidecars->table, entry->d_name);
            int32_t code = node == UINT32_MAX ? OCIGC_OK : read_sidecar(sidecars, reader, node, entry->d_name, error);
            if (code != OCIGC_OK)
                return code;
            items += node != UINT32_MAX;
        }
        ocigc_progress_add(sidecars->progress, items, 0);
    }
    if (taken < 0)
        return ocigc_fail_system(error, errno, "cannot list labels/%s", sidecars->table->name);
    return OCIGC_OK;
}

static void read_sidecars(void *context)
{
    struct sidecars *sidecars = context;
    struct reader reader = {.store = sidecars->store, .bytes = malloc(SIDECAR_LIMIT), .text = malloc(SIDECAR_LIMIT)};
    struct ocigc_error error;
    bool ready = ocigc_names_init(&reader.names) && reader.bytes != NULL && reader.text != NULL;
    int32_t code = ready ? read_names(sidecars, &reader, &error) : ocigc_fail_memory(&error);
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&sidecars->lock);
        if (sidecars->code == OCIGC_OK) {
            sidecars->code = code;
            sidecars->error = error;
        }
        pthread_mutex_unlock(&sidecars->lock);
    }
    ocigc_names_free(&reader.names);
    free(reader.bytes);
    free(reader.text);
    free(reader.targets);
    free(reader.kinds);
    free(reader.missing);
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

static int32_t read_directory(ocigc_store *store, const struct ocigc_digest_table *table, int labels,
                              struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct sidecars sidecars = {.store = store, .table = table, .progress = progress};
    char path[sizeof "labels/" + NAME_MAX];
    snprintf(path, sizeof path, "labels/%s", table->name);
    int directory = open_optional(labels, table->name, path, &sidecars.code, error);
    if (directory < 0)
        return sidecars.code;
    ocigc_directory_init(&sidecars.directory, directory);
    pthread_mutex_init(&sidecars.lock, NULL);
    ocigc_parallel(ocigc_thread_count(0), read_sidecars, &sidecars);
    pthread_mutex_destroy(&sidecars.lock);
    ocigc_directory_close(&sidecars.directory);
    if (sidecars.code != OCIGC_OK && error != NULL)
        *error = sidecars.error;
    return sidecars.code;
}

int32_t ocigc_graph_read_labels(ocigc_store *store, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct ocigc_graph *graph = store->graph;
    int32_t code;
    int labels = open_optional(store->layout, "labels", "labels", &code, error);
    if (labels < 0)
        return code;
    for (uint32_t i = 0; code == OCIGC_OK && i < store->table_count; i++)
        code = read_directory(store, &store->tables[i], labels, progress, error);
    close(labels);
    if (graph->label_root_count > 0)
        qsort(graph->label_roots, graph->label_root_count, sizeof *graph->label_roots, ocigc_by_number);
    ocigc_graph_sort_records(graph);
    return code;
}

size_t ocigc_graph_label_roots(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    return ocigc_list(store->graph->label_roots, store->graph->label_root_count, out, capacity);
}
