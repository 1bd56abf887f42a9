/* ledger.h - the insides of ocigc_ledger: what is known of each node of a store. */
#ifndef OCIGC_STORE_LEDGER_H
#define OCIGC_STORE_LEDGER_H

#include "store/store.h"

/* What is known of a blob. */
struct ocigc_known {
    int64_t verified; /* ns since 1970; 0: nothing is known; negative: the blob has been touched since */
    struct ocigc_check check;
};

struct ocigc_ledger {
    const ocigc_store *store;
    struct ocigc_known *known; /* by node */
    uint64_t damaged;          /* buckets that were dropped */
    bool differs;
};

#endif
