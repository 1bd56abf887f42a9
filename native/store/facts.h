/* facts.h - what the files behind nodes are. A scan that looks at files keeps that in the entries; one that only lists
 * names leaves it to the survey, which as a rule asks of few: those take some 28 bytes each. Where it asks of many, all
 * nodes take 12. */
#ifndef OCIGC_STORE_FACTS_H
#define OCIGC_STORE_FACTS_H

#include "store/numbers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct ocigc_store;

struct ocigc_facts {
    uint64_t size; /* if below OCIGC_SIZE_LARGE, else OCIGC_LINKED and the number of a struct ocigc_link; and flags */
    int64_t stamp; /* OCIGC_STAMP_UNKNOWN until somebody has looked */
};

#define OCIGC_LINKED (UINT64_C(1) << 63)
#define OCIGC_MOVED (UINT64_C(1) << 62) /* touched between the scan and the survey */
#define OCIGC_SIZE_MASK (OCIGC_MOVED - 1)
#define OCIGC_SIZE_LARGE (UINT64_C(1) << 30)
#define OCIGC_STAMP_UNKNOWN INT64_MIN
#define OCIGC_STAMP_NEVER (OCIGC_STAMP_UNKNOWN + 1) /* of what is gone */

/* Those of a scan that only listed names: of some nodes by their numbers, or of all. */
struct ocigc_facts_table {
    int64_t *stamps;
    uint32_t *sizes; /* in short: the flags, and 30 bits */
    uint32_t stamp_capacity;
    uint32_t size_capacity;
    bool all;
    struct ocigc_numbers numbers;
};

void ocigc_facts_free(struct ocigc_facts_table *table);

/* The facts of a node, unknown ones where nobody has asked for any. */
struct ocigc_facts ocigc_facts_of(const struct ocigc_store *store, uint32_t node);

/* Makes room in the table for the facts of `count` nodes (NULL: of all), unknown until they are put there. false: no
 * memory. */
bool ocigc_facts_reserve(struct ocigc_store *store, const uint32_t *nodes, size_t count);
/* The place of that room, for one thread of several: UINT32_MAX where another has it, or the facts are known. */
uint32_t ocigc_facts_claim(struct ocigc_store *store, uint32_t node);
/* Puts facts into it; unknown ones leave it to the next who claims it. */
void ocigc_facts_put(struct ocigc_store *store, uint32_t place, struct ocigc_facts facts);

/* What a file's status says. `lock` guards the store's links. false: no memory, and `facts` is as it was. */
bool ocigc_facts_make(struct ocigc_store *store, pthread_mutex_t *lock, const struct stat *status,
                      struct ocigc_facts *facts);

#endif
