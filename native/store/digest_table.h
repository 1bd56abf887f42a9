/* digest_table.h - the blobs of one algorithm's directory as a flat sorted array. An entry is the key (the binary
 * digest) and, if the scan asked for them, status and identity. With names alone that is 32 bytes per sha256 blob, and
 * up to one more for the index of buckets. */
#ifndef OCIGC_STORE_DIGEST_TABLE_H
#define OCIGC_STORE_DIGEST_TABLE_H

#include "base/base.h"
#include "store/status.h"

#include <stdbool.h>

struct ocigc_digest_table {
    char *name; /* of its directory below blobs/ */
    int32_t algorithm;
    int directory;   /* open; -1 for an unregistered algorithm, of which there may be any number */
    int shared;      /* the directory of shared blobs, open; -1 if there is none */
    uint32_t width;  /* bytes of a key */
    uint32_t stride; /* bytes of an entry */
    uint32_t first;  /* node of the first entry */
    uint32_t count;
    uint32_t capacity;
    uint8_t *entries;
    /* The entries whose key begins with the bits b are buckets[b] .. buckets[b + 1] - 1. */
    uint32_t *buckets;
    uint32_t bucket_bits;
    /* For an unregistered algorithm: the names, each with its NUL. A key is then a uint32_t offset into them,
     * padded. */
    char *names;
    uint32_t names_length;
    uint32_t names_capacity;
};

/* What the ledger compares to tell whether a file is still the same. All 0 for a file that was gone. */
struct ocigc_identity {
    uint64_t device;
    uint64_t inode;
    int64_t modified; /* ns since 1970 */
    int64_t changed;
};

static inline uint8_t *ocigc_table_key(const struct ocigc_digest_table *table, uint32_t position)
{
    return table->entries + (size_t)position * table->stride;
}

/* Only if the scan asked for status (and identity). */
static inline struct ocigc_status *ocigc_table_status(const struct ocigc_digest_table *table, uint32_t position)
{
    return (struct ocigc_status *)(ocigc_table_key(table, position) + table->width);
}

static inline struct ocigc_identity *ocigc_table_identity(const struct ocigc_digest_table *table, uint32_t position)
{
    return (struct ocigc_identity *)(ocigc_table_status(table, position) + 1);
}

/* Makes an empty table for a scan of that enum ocigc_scan_detail; copies `name`. */
bool ocigc_table_init(struct ocigc_digest_table *table, const char *name, int32_t detail);
void ocigc_table_free(struct ocigc_digest_table *table);

/* Adds an entry without status: a binary digest, or the NUL-terminated `name` under an unregistered algorithm. false:
 * no memory. */
bool ocigc_table_add(struct ocigc_digest_table *table, const uint8_t *digest, const char *name);
/* Moves all entries of `other` to the end of `table`. */
bool ocigc_table_append(struct ocigc_digest_table *table, struct ocigc_digest_table *other);
/* Sorts, drops duplicates, and makes the table ready for ocigc_table_find. */
bool ocigc_table_sort(struct ocigc_digest_table *table, uint32_t threads);

/* Writes the encoded part of an entry's digest to `out` (256 bytes suffice) with its NUL; returns its length. */
uint32_t ocigc_table_encoded(const struct ocigc_digest_table *table, uint32_t position, char *out);
/* Loads into the cache the place where a binary digest would be, so that it is found sooner. */
void ocigc_table_prefetch(const struct ocigc_digest_table *table, const uint8_t *key);
/* The position of a binary digest of the table's algorithm, or UINT32_MAX. */
uint32_t ocigc_table_find_key(const struct ocigc_digest_table *table, const uint8_t *key);
/* The position of the encoded part of a digest, or UINT32_MAX. */
uint32_t ocigc_table_find(const struct ocigc_digest_table *table, const char *encoded, size_t length);

#endif
