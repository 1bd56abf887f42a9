/* segment.h - the blobs of one algorithm's directory as a flat sorted array: entries of one stride, each the key (the
 * binary digest) and, where the scan looks at files, their facts and their identity. Of names alone, 32 bytes a blob of
 * sha256, and up to one for the index of buckets. */
#ifndef OCIGC_STORE_SEGMENT_H
#define OCIGC_STORE_SEGMENT_H

#include "common/common.h"
#include "store/facts.h"

#include <stdbool.h>

struct ocigc_segment {
    char *name; /* of the directory below blobs/ */
    int32_t algorithm;
    int directory;   /* open; -1 for an unregistered algorithm, for there may be any number of those */
    uint32_t width;  /* bytes of a key */
    uint32_t stride; /* bytes of an entry */
    uint32_t first;  /* node of the first entry */
    uint32_t count;
    uint32_t capacity;
    uint8_t *entries;
    /* The entries whose key begins with the bits b are buckets[b] .. buckets[b + 1] - 1. */
    uint32_t *buckets;
    uint32_t bucket_bits;
    /* Of an unregistered algorithm: the names, each with its NUL; a key is a uint32_t offset into them, padded. */
    char *names;
    uint32_t names_length;
    uint32_t names_capacity;
};

/* What else tells that a file is the one it was: the ledger compares it. All 0 for a file that was gone. */
struct ocigc_identity {
    uint64_t device;
    uint64_t inode;
    int64_t modified; /* ns since 1970 */
    int64_t changed;
};

static inline uint8_t *ocigc_segment_key(const struct ocigc_segment *segment, uint32_t position)
{
    return segment->entries + (size_t)position * segment->stride;
}

/* Of a scan that looks at files. */
static inline struct ocigc_facts *ocigc_segment_facts(const struct ocigc_segment *segment, uint32_t position)
{
    return (struct ocigc_facts *)(ocigc_segment_key(segment, position) + segment->width);
}

static inline struct ocigc_identity *ocigc_segment_identity(const struct ocigc_segment *segment, uint32_t position)
{
    return (struct ocigc_identity *)(ocigc_segment_facts(segment, position) + 1);
}

/* A segment with nothing in it, of a scan of that enum ocigc_depth; copies `name`. */
bool ocigc_segment_init(struct ocigc_segment *segment, const char *name, int32_t depth);
void ocigc_segment_free(struct ocigc_segment *segment);

/* Adds an entry, without facts: a binary digest, or the NUL-terminated `name` under an unregistered algorithm. false: no
 * memory. */
bool ocigc_segment_add(struct ocigc_segment *segment, const uint8_t *digest, const char *name);
/* Moves all entries of `other` behind those of `segment`. */
bool ocigc_segment_take(struct ocigc_segment *segment, struct ocigc_segment *other);
/* Sorts, drops what was met twice, and makes the segment ready for ocigc_segment_find. */
bool ocigc_segment_seal(struct ocigc_segment *segment, uint32_t threads);

/* The encoded part of an entry's digest, written to `out` (256 bytes suffice) with its NUL; returns its length. */
uint32_t ocigc_segment_encoded(const struct ocigc_segment *segment, uint32_t position, char *out);
/* Brings the place where a binary digest would stand nearer, so that it is soon found. */
void ocigc_segment_prefetch(const struct ocigc_segment *segment, const uint8_t *key);
/* The position of a binary digest of the segment's algorithm, or UINT32_MAX. */
uint32_t ocigc_segment_find_key(const struct ocigc_segment *segment, const uint8_t *key);
/* The position of the encoded part of a digest, or UINT32_MAX. */
uint32_t ocigc_segment_find(const struct ocigc_segment *segment, const char *encoded, size_t length);

#endif
