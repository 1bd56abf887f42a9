/* listed.c - a store of blobs that the caller names, not of all in a directory: for a worker that verifies only some of
 * a layout's blobs. */
#include "store/files.h"
#include "store/graph.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int32_t open_algorithm(ocigc_store *store, int32_t algorithm, struct ocigc_error *error)
{
    const char *name = ocigc_algorithm_name(algorithm);
    struct ocigc_digest_table *table = &store->tables[store->table_count++];
    if (!ocigc_table_init(table, name, store->detail))
        return ocigc_fail_memory(error);
    table->directory = ocigc_open_directory(store->blobs, name);
    return table->directory >= 0 ? OCIGC_OK : ocigc_fail_system(error, errno, "cannot open blobs/%s", name);
}

static int32_t list(ocigc_store *store, int32_t algorithm, const uint8_t *digests, uint32_t count,
                    struct ocigc_error *error)
{
    int32_t code = open_algorithm(store, algorithm, error);
    if (code != OCIGC_OK)
        return code;
    struct ocigc_digest_table *table = &store->tables[0];
    for (uint32_t i = 0; i < count; i++)
        if (!ocigc_table_add(table, digests + (size_t)i * table->width, NULL))
            return ocigc_fail_memory(error);
    if (!ocigc_table_sort(table, 1))
        return ocigc_fail_memory(error);
    store->count = table->count;
    store->graph = ocigc_graph_new(store->count);
    return store->graph != NULL ? OCIGC_OK : ocigc_fail_memory(error);
}

int32_t ocigc_store_list(int32_t layout, int32_t algorithm, const uint8_t *digests, uint32_t count, ocigc_store **store,
                         struct ocigc_error *error)
{
    if (algorithm < OCIGC_SHA256 || algorithm > OCIGC_BLAKE3 || count == UINT32_MAX)
        return ocigc_fail(error, OCIGC_MALFORMED, "not a list of digests of a registered algorithm");
    ocigc_store *listed = calloc(1, sizeof *listed);
    if (listed == NULL)
        return ocigc_fail_memory(error);
    listed->blobs = -1;
    listed->detail = OCIGC_SCAN_NAMES;
    listed->began = ocigc_now();
    listed->layout = fcntl(layout, F_DUPFD_CLOEXEC, 0);
    listed->tables = calloc(1, sizeof *listed->tables);
    listed->table_capacity = 1;
    int32_t code;
    if (listed->tables == NULL)
        code = ocigc_fail_memory(error);
    else if (listed->layout < 0 || (listed->blobs = ocigc_open_directory(listed->layout, "blobs")) < 0)
        code = ocigc_fail_system(error, errno, "cannot open blobs");
    else
        code = list(listed, algorithm, digests, count, error);
    if (code == OCIGC_OK)
        *store = listed;
    else
        ocigc_store_free(listed);
    return code;
}
