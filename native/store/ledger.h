/* ledger.h - what a ledger knows about each node of a store. */
#ifndef OCIGC_STORE_LEDGER_H
#define OCIGC_STORE_LEDGER_H

#include "store/store.h"

/* What is known about one blob. */
struct ocigc_known {
    int64_t verified; /* 0: nothing is known; negative: the blob was touched since */
    struct ocigc_checksum checksum;
};

struct ocigc_ledger {
    const ocigc_store *store;
    struct ocigc_known *known; /* by node */
    uint64_t damaged;          /* buckets that were dropped */
    bool differs;
};

#endif
