#include "store/disk_order.h"

#include "store/archive.h"
#include "store/files.h"
#include "store/names.h"
#include "store/opened.h"
#include "store/parallel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FEW = 256,
    SAMPLES = 16,
};

struct found {
    uint64_t inode;
    uint32_t node;
};

/* All nodes with their inodes, found by several threads. */
struct listing {
    const ocigc_store *store;
    uint8_t *seen; /* a bit per node: a name may be listed twice */
    struct found *found;
    uint32_t count;
    const struct ocigc_digest_table *table; /* whose directory is listed now */
    struct ocigc_directory directory;
    bool failed;
};

static bool is_in_memory(const ocigc_store *store, uint32_t node)
{
    struct ocigc_blob blob;
    if (!ocigc_blob_open(store, node, &blob, NULL))
        return true; /* whatever is wrong, its reader will report it */
    bool in_memory = blob.status.st_size == 0 || ocigc_is_in_memory(blob.file, ocigc_blob_start(&blob));
    ocigc_blob_close(&blob);
    return in_memory;
}

static bool are_in_memory(const ocigc_store *store, const uint32_t *nodes, uint32_t count)
{
    uint32_t in_memory = 0;
    for (uint32_t i = 0; i < SAMPLES; i++)
        in_memory += is_in_memory(store, nodes[(uint64_t)count * i / SAMPLES]);
    return in_memory > SAMPLES / 2;
}

static void take(struct listing *listing, uint64_t inode, uint32_t node)
{
    uint8_t bit = (uint8_t)(1u << node % 8);
    if ((__atomic_fetch_or(&listing->seen[node / 8], bit, __ATOMIC_RELAXED) & bit) == 0)
        listing->found[__atomic_fetch_add(&listing->count, 1, __ATOMIC_RELAXED)] = (struct found){inode, node};
}

static void take_names(void *context)
{
    struct listing *listing = context;
    struct ocigc_names names;
    int taken = -1;
    if (ocigc_names_init(&names)) {
        const struct dirent64 *entry;
        while ((taken = ocigc_names_take(&names, &listing->directory)) > 0) {
            while ((entry = ocigc_names_next(&names)) != NULL) {
                uint32_t position = ocigc_table_find(listing->table, entry->d_name, strlen(entry->d_name));
                if (position != UINT32_MAX)
                    take(listing, entry->d_ino, listing->table->first + position);
            }
        }
    }
    ocigc_names_free(&names);
    if (taken != 0)
        __atomic_store_n(&listing->failed, true, __ATOMIC_RELAXED);
}

/* The directory was listed a moment ago, so listing it again needs no disk. */
static bool list(struct listing *listing, const struct ocigc_digest_table *table)
{
    int descriptor = ocigc_open_directory(listing->store->blobs, table->name);
    if (descriptor < 0)
        return false;
    listing->table = table;
    ocigc_directory_init(&listing->directory, descriptor);
    /* Anybody can make many small directories of other algorithms. */
    ocigc_parallel(table->algorithm == OCIGC_ALGORITHM_OTHER ? 1 : ocigc_thread_count(0), take_names, listing);
    ocigc_directory_close(&listing->directory);
    return !listing->failed;
}

/* In an archive, where a blob begins is its inode. */
static bool list_all(struct listing *listing)
{
    const ocigc_store *store = listing->store;
    bool ok = true;
    for (uint32_t node = 0; store->archive != NULL && node < store->count; node++)
        take(listing, store->archive->blobs[node].start, node);
    for (uint32_t i = 0; ok && store->archive == NULL && i < store->table_count; i++)
        ok = list(listing, &store->tables[i]);
    return ok;
}

static int by_inode(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return (a->node > b->node) - (a->node < b->node);
}

/* All nodes by inode; those that were not found come last. NULL: the inodes cannot be read. */
static uint32_t *sort_nodes(const ocigc_store *store)
{
    struct listing listing = {
        .store = store,
        .seen = calloc(store->count / 8 + 1, 1),
        .found = malloc(store->count * sizeof *listing.found),
    };
    uint32_t *nodes = malloc(store->count * sizeof *nodes), count = 0;
    if (nodes != NULL && listing.seen != NULL && listing.found != NULL && list_all(&listing)) {
        qsort(listing.found, listing.count, sizeof *listing.found, by_inode);
        for (; count < listing.count; count++)
            nodes[count] = listing.found[count].node;
        for (uint32_t node = 0; node < store->count; node++)
            if ((listing.seen[node / 8] >> node % 8 & 1) == 0)
                nodes[count++] = node;
    } else {
        free(nodes);
        nodes = NULL;
    }
    free(listing.seen);
    free(listing.found);
    return nodes;
}

uint32_t *ocigc_disk_order(ocigc_store *store, const uint32_t *nodes, uint32_t count)
{
    if (count < FEW || are_in_memory(store, nodes, count))
        return NULL;
    if (store->by_inode == NULL)
        store->by_inode = sort_nodes(store);
    uint32_t *order = malloc(count * sizeof *order), *positions = malloc(store->count * sizeof *positions);
    if (order == NULL || positions == NULL || store->by_inode == NULL) {
        free(order);
        order = NULL;
    } else {
        memset(positions, 0xff, store->count * sizeof *positions);
        for (uint32_t i = 0; i < count; i++)
            positions[nodes[i]] = i;
        for (uint32_t i = 0, written = 0; i < store->count; i++)
            if (positions[store->by_inode[i]] != UINT32_MAX)
                order[written++] = positions[store->by_inode[i]];
    }
    free(positions);
    return order;
}

uint32_t ocigc_cold_share(void)
{
    struct rlimit limit;
    uint64_t share = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 2 / OCIGC_COLD_THREADS : 1;
    return share < 1 ? 1 : share < OCIGC_OPENED_MOST ? (uint32_t)share : OCIGC_OPENED_MOST;
}
