#include "store/status.h"

#include "base/vector.h"
#include "store/files.h"
#include "store/store.h"

#include <stdlib.h>

static const struct ocigc_status UNKNOWN = {0, OCIGC_STAMP_UNKNOWN};
#define SHORT_FLAGS ((uint32_t)((OCIGC_STATUS_INODE | OCIGC_STATUS_TOUCHED) >> 32))

static bool has_table(const ocigc_store *store)
{
    return store->detail == OCIGC_SCAN_NAMES;
}

void ocigc_status_table_free(struct ocigc_status_table *table)
{
    free(table->stamps);
    free(table->sizes);
    ocigc_node_set_free(&table->numbers);
}

/* The place of a node in the table, or UINT32_MAX. */
static uint32_t place_in(const struct ocigc_status_table *table, uint32_t node)
{
    return table->all ? node : ocigc_node_set_find(&table->numbers, node);
}

static uint32_t in_short(uint64_t size)
{
    return (uint32_t)(size >> 32 & SHORT_FLAGS) | (uint32_t)(size & ~SHORT_FLAGS);
}

static struct ocigc_status status_at(const struct ocigc_status_table *table, uint32_t place)
{
    if (place == UINT32_MAX)
        return UNKNOWN;
    uint32_t size = table->sizes[place];
    return (struct ocigc_status){(uint64_t)(size & SHORT_FLAGS) << 32 | (size & ~SHORT_FLAGS), table->stamps[place]};
}

struct ocigc_status ocigc_status_of(const ocigc_store *store, uint32_t node)
{
    if (has_table(store))
        return status_at(&store->status, place_in(&store->status, node));
    struct ocigc_place place = ocigc_store_place(store, node);
    return *ocigc_table_status(place.table, place.position);
}

uint32_t ocigc_status_claim(ocigc_store *store, uint32_t node)
{
    uint32_t place = place_in(&store->status, node);
    int64_t unknown = OCIGC_STAMP_UNKNOWN;
    bool claimed =
        place != UINT32_MAX && __atomic_compare_exchange_n(&store->status.stamps[place], &unknown, OCIGC_STAMP_NEVER,
                                                           false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    return claimed ? place : UINT32_MAX;
}

void ocigc_status_put(ocigc_store *store, uint32_t place, struct ocigc_status status)
{
    store->status.sizes[place] = in_short(status.size);
    __atomic_store_n(&store->status.stamps[place], status.stamp, __ATOMIC_RELEASE);
}

static bool reserve_all(struct ocigc_status_table *table, uint32_t nodes)
{
    struct ocigc_status_table all = {.all = true};
    all.stamps = malloc(((size_t)nodes + 1) * sizeof *all.stamps);
    all.sizes = malloc(((size_t)nodes + 1) * sizeof *all.sizes);
    if (all.stamps == NULL || all.sizes == NULL) {
        ocigc_status_table_free(&all);
        return false;
    }
    for (uint32_t node = 0; node < nodes; node++) {
        struct ocigc_status known = status_at(table, place_in(table, node));
        all.stamps[node] = known.stamp;
        all.sizes[node] = in_short(known.size);
    }
    ocigc_status_table_free(table);
    *table = all;
    return true;
}

/* If the node is in the set already, this writes after the last number, where nobody reads. */
static bool reserve_one(struct ocigc_status_table *table, uint32_t node)
{
    uint32_t number = table->numbers.count;
    if (!ocigc_reserve(&table->stamps, &table->stamp_capacity, number, 1, sizeof *table->stamps) ||
        !ocigc_reserve(&table->sizes, &table->size_capacity, number, 1, sizeof *table->sizes))
        return false;
    table->stamps[number] = UNKNOWN.stamp;
    table->sizes[number] = in_short(UNKNOWN.size);
    return ocigc_node_set_add(&table->numbers, node) >= 0;
}

bool ocigc_status_reserve(ocigc_store *store, const uint32_t *nodes, size_t count)
{
    struct ocigc_status_table *table = &store->status;
    if (!has_table(store) || table->all)
        return true;
    size_t lacking = 0;
    for (size_t i = 0; nodes != NULL && i < count; i++)
        lacking += place_in(table, nodes[i]) == UINT32_MAX;
    /* A set of more than half of the nodes would take more memory than statuses of all. */
    if (nodes == NULL || table->numbers.count + lacking > store->count / 2)
        return reserve_all(table, store->count);
    for (size_t i = 0; lacking > 0 && i < count; i++)
        if (!reserve_one(table, nodes[i]))
            return false;
    return true;
}

static bool add_link(ocigc_store *store, pthread_mutex_t *lock, const struct stat *file, struct ocigc_status *status)
{
    pthread_mutex_lock(lock);
    bool ok = store->inode_count < OCIGC_SIZE_LARGE &&
              ocigc_reserve(&store->inodes, &store->inode_capacity, store->inode_count, 1, sizeof *store->inodes);
    if (ok) {
        store->inodes[store->inode_count] = (struct ocigc_inode){
            .inode = file->st_ino,
            .size = (uint64_t)file->st_size,
            .modified = ocigc_nanoseconds(file->st_mtim),
            .device = (uint32_t)file->st_dev,
            .links = file->st_nlink < UINT32_MAX ? (uint32_t)file->st_nlink : UINT32_MAX,
        };
        status->size = OCIGC_STATUS_INODE | store->inode_count++;
    }
    pthread_mutex_unlock(lock);
    return ok;
}

bool ocigc_status_make(ocigc_store *store, pthread_mutex_t *lock, const struct stat *file, struct ocigc_status *status)
{
    struct ocigc_status made = {(uint64_t)file->st_size & OCIGC_SIZE_MASK, ocigc_stamp(file)};
    if ((file->st_nlink > 1 || made.size >= OCIGC_SIZE_LARGE) && !add_link(store, lock, file, &made))
        return false;
    if (ocigc_nanoseconds(file->st_ctim) > store->began)
        made.size |= OCIGC_STATUS_TOUCHED;
    if (made.stamp == OCIGC_STAMP_UNKNOWN)
        made.stamp = OCIGC_STAMP_NEVER;
    *status = made;
    return true;
}

/* What needs a lock is left to ocigc_store_stat. */
void ocigc_status_keep(ocigc_store *store, uint32_t node, const struct stat *file)
{
    if (!has_table(store) || !store->status.all || file->st_nlink > 1 || (uint64_t)file->st_size >= OCIGC_SIZE_LARGE)
        return;
    uint32_t place = ocigc_status_claim(store, node);
    struct ocigc_status status;
    if (place != UINT32_MAX && ocigc_status_make(store, NULL, file, &status))
        ocigc_status_put(store, place, status);
}
