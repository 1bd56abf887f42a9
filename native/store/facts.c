#include "store/facts.h"

#include "common/vector.h"
#include "store/files.h"
#include "store/store.h"

#include <stdlib.h>

static const struct ocigc_facts UNKNOWN = {0, OCIGC_STAMP_UNKNOWN};
#define SHORT_FLAGS ((uint32_t)((OCIGC_LINKED | OCIGC_MOVED) >> 32))

static bool has_table(const ocigc_store *store)
{
    return store->depth == OCIGC_NAMES;
}

void ocigc_facts_free(struct ocigc_facts_table *table)
{
    free(table->stamps);
    free(table->sizes);
    ocigc_numbers_free(&table->numbers);
}

/* The place of a node in the table, or UINT32_MAX. */
static uint32_t place_in(const struct ocigc_facts_table *table, uint32_t node)
{
    return table->all ? node : ocigc_number_of(&table->numbers, node);
}

static uint32_t in_short(uint64_t size)
{
    return (uint32_t)(size >> 32 & SHORT_FLAGS) | (uint32_t)(size & ~SHORT_FLAGS);
}

static struct ocigc_facts facts_at(const struct ocigc_facts_table *table, uint32_t place)
{
    if (place == UINT32_MAX)
        return UNKNOWN;
    uint32_t size = table->sizes[place];
    return (struct ocigc_facts){(uint64_t)(size & SHORT_FLAGS) << 32 | (size & ~SHORT_FLAGS), table->stamps[place]};
}

struct ocigc_facts ocigc_facts_of(const ocigc_store *store, uint32_t node)
{
    if (has_table(store))
        return facts_at(&store->facts, place_in(&store->facts, node));
    struct ocigc_place place = ocigc_store_place(store, node);
    return *ocigc_segment_facts(place.segment, place.position);
}

uint32_t ocigc_facts_claim(ocigc_store *store, uint32_t node)
{
    uint32_t place = place_in(&store->facts, node);
    int64_t unknown = OCIGC_STAMP_UNKNOWN;
    bool claimed = place != UINT32_MAX &&
                   __atomic_compare_exchange_n(&store->facts.stamps[place], &unknown, OCIGC_STAMP_NEVER, false,
                                               __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    return claimed ? place : UINT32_MAX;
}

void ocigc_facts_put(ocigc_store *store, uint32_t place, struct ocigc_facts facts)
{
    store->facts.sizes[place] = in_short(facts.size);
    __atomic_store_n(&store->facts.stamps[place], facts.stamp, __ATOMIC_RELEASE);
}

static bool reserve_all(struct ocigc_facts_table *table, uint32_t nodes)
{
    struct ocigc_facts_table all = {.all = true};
    all.stamps = malloc(((size_t)nodes + 1) * sizeof *all.stamps);
    all.sizes = malloc(((size_t)nodes + 1) * sizeof *all.sizes);
    if (all.stamps == NULL || all.sizes == NULL) {
        ocigc_facts_free(&all);
        return false;
    }
    for (uint32_t node = 0; node < nodes; node++) {
        struct ocigc_facts known = facts_at(table, place_in(table, node));
        all.stamps[node] = known.stamp;
        all.sizes[node] = in_short(known.size);
    }
    ocigc_facts_free(table);
    *table = all;
    return true;
}

/* Where the node has a number already, what is written lies behind all that is numbered. */
static bool reserve_one(struct ocigc_facts_table *table, uint32_t node)
{
    uint32_t number = table->numbers.count;
    if (!ocigc_reserve(&table->stamps, &table->stamp_capacity, number, 1, sizeof *table->stamps) ||
        !ocigc_reserve(&table->sizes, &table->size_capacity, number, 1, sizeof *table->sizes))
        return false;
    table->stamps[number] = UNKNOWN.stamp;
    table->sizes[number] = in_short(UNKNOWN.size);
    return ocigc_number(&table->numbers, node) >= 0;
}

bool ocigc_facts_reserve(ocigc_store *store, const uint32_t *nodes, size_t count)
{
    struct ocigc_facts_table *table = &store->facts;
    if (!has_table(store) || table->all)
        return true;
    size_t lacking = 0;
    for (size_t i = 0; nodes != NULL && i < count; i++)
        lacking += place_in(table, nodes[i]) == UINT32_MAX;
    /* Numbers of more than half of them would take more memory than facts of all. */
    if (nodes == NULL || table->numbers.count + lacking > store->count / 2)
        return reserve_all(table, store->count);
    for (size_t i = 0; lacking > 0 && i < count; i++)
        if (!reserve_one(table, nodes[i]))
            return false;
    return true;
}

static bool add_link(ocigc_store *store, pthread_mutex_t *lock, const struct stat *status, struct ocigc_facts *facts)
{
    pthread_mutex_lock(lock);
    bool well = store->link_count < OCIGC_SIZE_LARGE &&
                ocigc_reserve(&store->links, &store->link_capacity, store->link_count, 1, sizeof *store->links);
    if (well) {
        store->links[store->link_count] = (struct ocigc_link){
            .inode = status->st_ino,
            .size = (uint64_t)status->st_size,
            .modified = ocigc_nanoseconds(status->st_mtim),
            .device = (uint32_t)status->st_dev,
            .names = status->st_nlink < UINT32_MAX ? (uint32_t)status->st_nlink : UINT32_MAX,
        };
        facts->size = OCIGC_LINKED | store->link_count++;
    }
    pthread_mutex_unlock(lock);
    return well;
}

bool ocigc_facts_make(ocigc_store *store, pthread_mutex_t *lock, const struct stat *status, struct ocigc_facts *facts)
{
    struct ocigc_facts made = {(uint64_t)status->st_size & OCIGC_SIZE_MASK, ocigc_stamp(status)};
    if ((status->st_nlink > 1 || made.size >= OCIGC_SIZE_LARGE) && !add_link(store, lock, status, &made))
        return false;
    if (ocigc_nanoseconds(status->st_ctim) > store->began)
        made.size |= OCIGC_MOVED;
    if (made.stamp == OCIGC_STAMP_UNKNOWN)
        made.stamp = OCIGC_STAMP_NEVER;
    *facts = made;
    return true;
}
