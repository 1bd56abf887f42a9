#include "store/disk_order.h"

#include "store/archive.h"
#include "store/files.h"
#include "store/names.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FEW = 256,
    SAMPLES = 16,
};

struct found {
    uint64_t inode;
    uint32_t position;
};

struct search {
    const uint32_t *nodes;
    uint32_t count;
    uint8_t *wanted; /* a bit per node of the store */
    struct found *found;
    uint32_t found_count;
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

static uint32_t position_of(const struct search *search, uint32_t node)
{
    uint32_t low = 0, high = search->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (search->nodes[middle] <= node)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void take_name(struct search *search, const struct ocigc_digest_table *table, const struct dirent64 *entry)
{
    uint32_t position = ocigc_table_find(table, entry->d_name, strlen(entry->d_name));
    if (position == UINT32_MAX)
        return;
    uint32_t node = table->first + position;
    if ((search->wanted[node / 8] >> node % 8 & 1) == 0)
        return;
    search->wanted[node / 8] &= (uint8_t)~(1u << node % 8); /* a name may be listed twice */
    search->found[search->found_count++] = (struct found){entry->d_ino, position_of(search, node)};
}

/* In an archive, where a blob begins is its inode. */
static void take_extents(struct search *search, const struct ocigc_archive *archive)
{
    for (uint32_t i = 0; i < search->count; i++) {
        uint32_t node = search->nodes[i];
        search->wanted[node / 8] &= (uint8_t)~(1u << node % 8);
        search->found[search->found_count++] = (struct found){archive->blobs[node].start, i};
    }
}

/* The directory was listed a moment ago, so to list it again needs no disk. */
static bool list(struct search *search, const ocigc_store *store, const struct ocigc_digest_table *table)
{
    struct ocigc_directory directory;
    struct ocigc_names names;
    int taken = -1, descriptor = ocigc_open_directory(store->blobs, table->name);
    if (descriptor < 0)
        return false;
    ocigc_directory_init(&directory, descriptor);
    if (ocigc_names_init(&names)) {
        const struct dirent64 *entry;
        while ((taken = ocigc_names_take(&names, &directory)) > 0)
            while ((entry = ocigc_names_next(&names)) != NULL)
                take_name(search, table, entry);
    }
    ocigc_names_free(&names);
    ocigc_directory_close(&directory);
    return taken == 0;
}

static int by_inode(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

/* The positions by inode; those that were not found come last. */
static void write_order(const struct search *search, uint32_t *order)
{
    uint32_t written = 0;
    for (; written < search->found_count; written++)
        order[written] = search->found[written].position;
    for (uint32_t i = 0; i < search->count; i++)
        if (search->wanted[search->nodes[i] / 8] >> search->nodes[i] % 8 & 1)
            order[written++] = i;
}

uint32_t *ocigc_disk_order(const ocigc_store *store, const uint32_t *nodes, uint32_t count)
{
    if (count < FEW || are_in_memory(store, nodes, count))
        return NULL;
    struct search search = {.nodes = nodes, .count = count};
    uint32_t *order = malloc(count * sizeof *order);
    search.wanted = calloc(store->count / 8 + 1, 1);
    search.found = malloc(count * sizeof *search.found);
    bool ok = order != NULL && search.wanted != NULL && search.found != NULL;
    for (uint32_t i = 0; ok && i < count; i++)
        search.wanted[nodes[i] / 8] |= (uint8_t)(1u << nodes[i] % 8);
    if (ok && store->archive != NULL)
        take_extents(&search, store->archive);
    for (uint32_t i = 0; ok && store->archive == NULL && i < store->table_count; i++)
        ok = list(&search, store, &store->tables[i]);
    if (ok) {
        qsort(search.found, search.found_count, sizeof *search.found, by_inode);
        write_order(&search, order);
    } else {
        free(order);
        order = NULL;
    }
    free(search.wanted);
    free(search.found);
    return order;
}
