#include "store/archive.h"

#include "base/vector.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------- one member */

void ocigc_archive_free(struct ocigc_archive *archive)
{
    if (archive == NULL)
        return;
    if (archive->file >= 0)
        close(archive->file);
    free(archive->blobs);
    free(archive->labels);
    free(archive);
}

int ocigc_archive_open(const struct ocigc_archive *archive)
{
    char path[sizeof "/proc/self/fd/" + 10];
    int file;
    snprintf(path, sizeof path, "/proc/self/fd/%d", archive->file);
    do
        file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (file < 0 && errno == EINTR);
    if (file < 0 && errno != EMFILE && errno != ENFILE) /* no /proc here, or no right to open it anew */
        file = fcntl(archive->file, F_DUPFD_CLOEXEC, 0);
    return file;
}

void ocigc_extent_status(const struct ocigc_extent *extent, struct stat *status)
{
    int64_t second = INT64_C(1000000000), rest = extent->modified % second;
    status->st_size = (off_t)extent->size;
    status->st_ino = extent->start;
    status->st_nlink = extent->links;
    status->st_mtim.tv_sec = extent->modified / second - (rest < 0);
    status->st_mtim.tv_nsec = rest + (rest < 0 ? second : 0);
}

int ocigc_archive_stat(const struct ocigc_archive *archive, const struct ocigc_extent *extent, struct stat *status)
{
    if (fstat(archive->file, status) != 0)
        return errno;
    ocigc_extent_status(extent, status);
    return 0;
}

/* -------------------------------------------------------------- the store */

/* The table of a member's algorithm, made if there is none. NULL: no memory. */
static struct ocigc_digest_table *table_for(ocigc_store *store, const char *name, size_t length)
{
    for (uint32_t i = 0; i < store->table_count; i++) {
        struct ocigc_digest_table *table = &store->tables[i];
        if (strncmp(table->name, name, length) == 0 && table->name[length] == '\0')
            return table;
    }
    char text[OCIGC_DIGEST_TEXT_MAX + 1];
    memcpy(text, name, length);
    text[length] = '\0';
    if (!ocigc_reserve(&store->tables, &store->table_capacity, store->table_count, 1, sizeof *store->tables))
        return NULL;
    struct ocigc_digest_table *table = &store->tables[store->table_count++];
    return ocigc_table_init(table, text, store->detail) ? table : NULL;
}

static int32_t add_blob(ocigc_store *store, const char *text, size_t length, struct ocigc_error *error)
{
    struct ocigc_digest digest;
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    if (length > OCIGC_DIGEST_TEXT_MAX || !ocigc_digest_read(text, length, &digest))
        return ocigc_fail(error, OCIGC_MALFORMED, "%.*s is not a digest", (int)length, text);
    size_t name = (size_t)((const char *)memchr(text, ':', length) - text);
    memcpy(encoded, text + name + 1, length - name - 1);
    encoded[length - name - 1] = '\0';
    struct ocigc_digest_table *table = table_for(store, text, name);
    return table != NULL && ocigc_table_add(table, digest.bytes, encoded) ? OCIGC_OK : ocigc_fail_memory(error);
}

static int32_t add_foreign(ocigc_store *store, const char *text, size_t length, struct ocigc_error *error)
{
    char *name = strndup(text, length);
    bool ok = name != NULL && ocigc_store_keep_foreign(store, "", name);
    free(name);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

static int by_table_name(const void *left, const void *right)
{
    return strcmp(((const struct ocigc_digest_table *)left)->name, ((const struct ocigc_digest_table *)right)->name);
}

static int32_t number_nodes(ocigc_store *store, struct ocigc_error *error)
{
    if (store->table_count > 0)
        qsort(store->tables, store->table_count, sizeof *store->tables, by_table_name);
    for (uint32_t i = 0; i < store->table_count; i++) {
        struct ocigc_digest_table *table = &store->tables[i];
        if (!ocigc_table_sort(table, 1))
            return ocigc_fail_memory(error);
        table->first = store->count;
        store->count += table->count;
    }
    store->graph = ocigc_graph_new(store->count);
    return store->graph != NULL ? OCIGC_OK : ocigc_fail_memory(error);
}

static int32_t place_blob(ocigc_store *store, uint32_t node, const struct ocigc_archive_member *member,
                          struct ocigc_error *error)
{
    struct ocigc_extent *extent = &store->archive->blobs[node];
    struct ocigc_place place = ocigc_store_place(store, node);
    struct stat status;
    *extent = (struct ocigc_extent){member->start, member->size, member->modified, member->links};
    int cause = ocigc_archive_stat(store->archive, extent, &status);
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the status of the archive");
    /* No thread but this one has the store. */
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool made = ocigc_status_make(store, &lock, &status, ocigc_table_status(place.table, place.position));
    return made ? OCIGC_OK : ocigc_fail_memory(error);
}

static int by_node(const void *left, const void *right)
{
    const struct ocigc_label_extent *a = left, *b = right;
    return (a->node > b->node) - (a->node < b->node);
}

static int32_t place(ocigc_store *store, const char *names, const struct ocigc_archive_member *members, uint32_t count,
                     struct ocigc_error *error)
{
    struct ocigc_archive *archive = store->archive;
    archive->blobs = calloc((size_t)store->count + 1, sizeof *archive->blobs);
    archive->labels = calloc((size_t)count + 1, sizeof *archive->labels);
    if (archive->blobs == NULL || archive->labels == NULL)
        return ocigc_fail_memory(error);
    for (uint32_t i = 0; i < count; i++) {
        const struct ocigc_archive_member *member = &members[i];
        if (member->kind == OCIGC_ARCHIVE_FOREIGN)
            continue;
        uint32_t node = ocigc_store_find(store, names + member->name.start, member->name.length);
        uint32_t size = member->size < UINT32_MAX ? (uint32_t)member->size : UINT32_MAX;
        int32_t code = OCIGC_OK;
        if (member->kind == OCIGC_ARCHIVE_BLOB)
            code = place_blob(store, node, member, error);
        else if (node != UINT32_MAX)
            archive->labels[archive->label_count++] = (struct ocigc_label_extent){node, size, member->start};
        if (code != OCIGC_OK)
            return code;
    }
    if (archive->label_count > 0)
        qsort(archive->labels, archive->label_count, sizeof *archive->labels, by_node);
    return OCIGC_OK;
}

static int32_t fill(ocigc_store *store, int32_t file, const char *names, const struct ocigc_archive_member *members,
                    uint32_t count, struct ocigc_error *error)
{
    store->archive = calloc(1, sizeof *store->archive);
    if (store->archive == NULL)
        return ocigc_fail_memory(error);
    store->archive->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (store->archive->file < 0)
        return ocigc_fail_system(error, errno, "cannot open the archive");
    int32_t code = OCIGC_OK;
    for (uint32_t i = 0; code == OCIGC_OK && i < count; i++) {
        const char *name = names + members[i].name.start;
        if (members[i].kind == OCIGC_ARCHIVE_BLOB)
            code = add_blob(store, name, members[i].name.length, error);
        else if (members[i].kind == OCIGC_ARCHIVE_FOREIGN)
            code = add_foreign(store, name, members[i].name.length, error);
    }
    if (code == OCIGC_OK)
        code = number_nodes(store, error);
    return code == OCIGC_OK ? place(store, names, members, count, error) : code;
}

int32_t ocigc_store_of_archive(int32_t file, const char *names, const struct ocigc_archive_member *members,
                               uint32_t count, ocigc_store **store, struct ocigc_error *error)
{
    ocigc_store *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ocigc_fail_memory(error);
    made->layout = made->blobs = -1;
    made->detail = OCIGC_SCAN_STATUS;
    made->began = ocigc_now();
    int32_t code = fill(made, file, names, members, count, error);
    if (code == OCIGC_OK)
        *store = made;
    else
        ocigc_store_free(made);
    return code;
}
