#include "store/facts.h"

#include "common/vector.h"
#include "store/files.h"
#include "store/store.h"

#include <stdlib.h>

static const struct ocigc_facts UNKNOWN = {0, OCIGC_STAMP_UNKNOWN};

static bool has_table(const ocigc_store *store)
{
    return store->depth == OCIGC_NAMES;
}

/* The place of a node in the table, or NULL. */
static struct ocigc_facts *place_in(const struct ocigc_facts_table *table, uint32_t node)
{
    if (table->all)
        return &table->facts[node];
    uint32_t number = ocigc_number_of(&table->numbers, node);
    return number != UINT32_MAX ? &table->facts[number] : NULL;
}

const struct ocigc_facts *ocigc_facts_of(const ocigc_store *store, uint32_t node)
{
    if (has_table(store)) {
        const struct ocigc_facts *facts = place_in(&store->facts, node);
        return facts != NULL ? facts : &UNKNOWN;
    }
    struct ocigc_place place = ocigc_store_place(store, node);
    return ocigc_segment_facts(place.segment, place.position);
}

struct ocigc_facts *ocigc_facts_claim(ocigc_store *store, uint32_t node)
{
    struct ocigc_facts *room = place_in(&store->facts, node);
    int64_t unknown = OCIGC_STAMP_UNKNOWN;
    bool claimed = room != NULL && __atomic_compare_exchange_n(&room->stamp, &unknown, OCIGC_STAMP_NEVER, false,
                                                               __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    return claimed ? room : NULL;
}

void ocigc_facts_put(struct ocigc_facts *room, struct ocigc_facts facts)
{
    room->size = facts.size;
    __atomic_store_n(&room->stamp, facts.stamp, __ATOMIC_RELEASE);
}

static bool reserve_all(struct ocigc_facts_table *table, uint32_t nodes)
{
    struct ocigc_facts *facts = malloc(((size_t)nodes + 1) * sizeof *facts);
    if (facts == NULL)
        return false;
    for (uint32_t node = 0; node < nodes; node++) {
        const struct ocigc_facts *known = place_in(table, node);
        facts[node] = known != NULL ? *known : UNKNOWN;
    }
    free(table->facts);
    ocigc_numbers_free(&table->numbers);
    *table = (struct ocigc_facts_table){.facts = facts, .all = true};
    return true;
}

/* Where the node has a number already, what is written lies behind all that is numbered. */
static bool reserve_one(struct ocigc_facts_table *table, uint32_t node)
{
    uint32_t number = table->numbers.count;
    if (!ocigc_reserve(&table->facts, &table->capacity, number, 1, sizeof *table->facts))
        return false;
    table->facts[number] = UNKNOWN;
    return ocigc_number(&table->numbers, node) >= 0;
}

bool ocigc_facts_reserve(ocigc_store *store, const uint32_t *nodes, size_t count)
{
    struct ocigc_facts_table *table = &store->facts;
    if (!has_table(store) || table->all)
        return true;
    size_t lacking = 0;
    for (size_t i = 0; nodes != NULL && i < count; i++)
        lacking += place_in(table, nodes[i]) == NULL;
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
    bool well = ocigc_reserve(&store->links, &store->link_capacity, store->link_count, 1, sizeof *store->links);
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
    if (status->st_nlink > 1 && !add_link(store, lock, status, &made))
        return false;
    if (ocigc_nanoseconds(status->st_ctim) > store->began)
        made.size |= OCIGC_MOVED;
    if (made.stamp == OCIGC_STAMP_UNKNOWN)
        made.stamp = OCIGC_STAMP_NEVER;
    *facts = made;
    return true;
}
