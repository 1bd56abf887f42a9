/* sweep_labels.c - moves the label files of blobs that are gone into the trash. */
#include "base/vector.h"
#include "store/files.h"
#include "store/names.h"
#include "store/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The label files in one directory whose blobs are gone. */
struct leftovers {
    const struct ocigc_digest_table *table;
    const uint8_t *gone; /* a bit per node */
    uint32_t *nodes;
    uint32_t count;
    uint32_t capacity;
};

/* All are found before the first is moved: listing a directory that changes may skip names. */
static int32_t find_leftovers(const struct ocigc_sweep *sweep, struct leftovers *leftovers, struct ocigc_names *names,
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
                return ocigc_fail_memory(sweep->error);
            leftovers->nodes[leftovers->count++] = node;
        }
    }
    if (taken < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot list labels/%s", leftovers->table->name);
    return OCIGC_OK;
}

enum half { WHOLE, FIRST, SECOND };

/* Moves a label file, or does one half of that. 0, or an errno. */
static int move_label_file(const struct ocigc_way *way, const char *name, enum half half)
{
    struct stat status, trashed;
    int cause;
    switch (half) {
    case FIRST:
        cause = ocigc_link_into_trash(way->labels, name, way->label_trash);
        return ocigc_cannot_link(cause) ? 0 : cause;
    case SECOND:
        if (ocigc_stat(way->labels, name, &status) == 0 && ocigc_stat(way->label_trash, name, &trashed) == 0 &&
            status.st_ino == trashed.st_ino)
            return ocigc_unlink(way->labels, name, 0);
        break;
    case WHOLE:
        break;
    }
    return ocigc_move_into_trash(way->labels, name, way->label_trash);
}

static int32_t move_leftovers(const struct ocigc_sweep *sweep, const struct leftovers *leftovers,
                              const struct ocigc_way *way, enum half half)
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
    int cause = ocigc_sync_trash(sweep, true);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(sweep->error, cause, "cannot sync the trash");
}

static int32_t sweep_labels(const struct ocigc_sweep *sweep, const struct ocigc_digest_table *table,
                            const struct ocigc_way *way, const uint8_t *gone)
{
    struct leftovers leftovers = {.table = table, .gone = gone};
    struct ocigc_directory labels;
    struct ocigc_names names;
    int descriptor = ocigc_open_directory(way->labels, ".");
    if (descriptor < 0)
        return ocigc_fail_system(sweep->error, errno, "cannot open labels/%s", table->name);
    ocigc_directory_init(&labels, descriptor);
    int32_t code =
        ocigc_names_init(&names) ? find_leftovers(sweep, &leftovers, &names, &labels) : ocigc_fail_memory(sweep->error);
    ocigc_names_free(&names);
    ocigc_directory_close(&labels);
    if (code == OCIGC_OK && sweep->changed != NULL)
        code = move_leftovers(sweep, &leftovers, way, FIRST);
    if (code == OCIGC_OK)
        code = move_leftovers(sweep, &leftovers, way, sweep->changed != NULL ? SECOND : WHOLE);
    free(leftovers.nodes);
    return code;
}

/* The directory is listed, because most blobs have no label file, and trying to move one costs as much as moving it. */
int32_t ocigc_sweep_label_files(const struct ocigc_sweep *sweep)
{
    const struct ocigc_store *store = sweep->store;
    uint8_t *gone = calloc(store->count / 8 + 1, 1);
    if (gone == NULL)
        return ocigc_fail_memory(sweep->error);
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
