#include "store/segment.h"

#include "common/vector.h"
#include "store/sort.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_KEY_WIDTH = 8 }; /* an offset into the names, padded so that the facts behind it stay aligned */

bool ocigc_segment_init(struct ocigc_segment *segment, const char *name, int32_t depth)
{
    int32_t algorithm = ocigc_algorithm_of(name, strlen(name));
    uint32_t width = algorithm != OCIGC_ALGORITHM_OTHER ? ocigc_algorithm_width(algorithm) : NAME_KEY_WIDTH;
    uint32_t facts = depth != OCIGC_NAMES ? sizeof(struct ocigc_facts) : 0;
    uint32_t identity = depth == OCIGC_IDENTITIES ? sizeof(struct ocigc_identity) : 0;
    *segment = (struct ocigc_segment){
        .name = strdup(name),
        .algorithm = algorithm,
        .directory = -1,
        .width = width,
        .stride = width + facts + identity,
    };
    return segment->name != NULL;
}

void ocigc_segment_free(struct ocigc_segment *segment)
{
    free(segment->name);
    free(segment->entries);
    free(segment->buckets);
    free(segment->names);
}

static uint32_t name_offset(const uint8_t *key)
{
    uint32_t offset;
    memcpy(&offset, key, sizeof offset);
    return offset;
}

static const char *name_at(const struct ocigc_segment *segment, uint32_t position)
{
    return segment->names + name_offset(ocigc_segment_key(segment, position));
}

static bool reserve(struct ocigc_segment *segment, uint32_t more)
{
    return ocigc_reserve(&segment->entries, &segment->capacity, segment->count, more, segment->stride);
}

bool ocigc_segment_add(struct ocigc_segment *segment, const uint8_t *digest, const char *name)
{
    if (!reserve(segment, 1))
        return false;
    uint8_t *key = ocigc_segment_key(segment, segment->count);
    if (segment->algorithm != OCIGC_ALGORITHM_OTHER) {
        memcpy(key, digest, segment->width);
    } else {
        uint32_t length = (uint32_t)strlen(name) + 1;
        if (!ocigc_reserve(&segment->names, &segment->names_capacity, segment->names_length, length, 1))
            return false;
        memset(key, 0, segment->width);
        memcpy(key, &segment->names_length, sizeof segment->names_length);
        memcpy(segment->names + segment->names_length, name, length);
        segment->names_length += length;
    }
    segment->count++;
    return true;
}

bool ocigc_segment_take(struct ocigc_segment *segment, struct ocigc_segment *other)
{
    if (!reserve(segment, other->count) ||
        !ocigc_reserve(&segment->names, &segment->names_capacity, segment->names_length, other->names_length, 1))
        return false;
    if (other->count > 0)
        memcpy(ocigc_segment_key(segment, segment->count), other->entries, (size_t)other->count * other->stride);
    if (other->names_length > 0)
        memcpy(segment->names + segment->names_length, other->names, other->names_length);
    for (uint32_t i = segment->count; other->names_length > 0 && i < segment->count + other->count; i++) {
        uint32_t offset = name_offset(ocigc_segment_key(segment, i)) + segment->names_length;
        memcpy(ocigc_segment_key(segment, i), &offset, sizeof offset);
    }
    segment->count += other->count;
    segment->names_length += other->names_length;
    other->count = other->names_length = 0;
    return true;
}

static uint64_t leading_bits(const uint8_t *key)
{
    uint64_t bits;
    memcpy(&bits, key, sizeof bits);
    return be64toh(bits);
}

static int compare_names(const void *left, const void *right, void *names)
{
    return strcmp((const char *)names + name_offset(left), (const char *)names + name_offset(right));
}

static bool same_key(const struct ocigc_segment *segment, uint32_t left, uint32_t right)
{
    if (segment->algorithm == OCIGC_ALGORITHM_OTHER)
        return strcmp(name_at(segment, left), name_at(segment, right)) == 0;
    const uint8_t *a = ocigc_segment_key(segment, left), *b = ocigc_segment_key(segment, right);
    return leading_bits(a) == leading_bits(b) && memcmp(a, b, segment->width) == 0;
}

/* A directory that changes while it is read may show a name twice. */
static void drop_doubles(struct ocigc_segment *segment)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < segment->count; i++) {
        if (kept > 0 && same_key(segment, kept - 1, i))
            continue;
        if (kept != i)
            memcpy(ocigc_segment_key(segment, kept), ocigc_segment_key(segment, i), segment->stride);
        kept++;
    }
    segment->count = kept;
}

static uint32_t bucket_of(const struct ocigc_segment *segment, uint64_t leading)
{
    return (uint32_t)(leading >> 32 >> (32 - segment->bucket_bits));
}

/* Four to eight entries a bucket where keys are spread as digests are. Where somebody has made them collide, a look-up
 * still is a binary search. */
static bool index_buckets(struct ocigc_segment *segment)
{
    segment->bucket_bits = 0;
    while (segment->count >> (segment->bucket_bits + 3) != 0)
        segment->bucket_bits++;
    uint32_t buckets = 1u << segment->bucket_bits;
    segment->buckets = malloc(((size_t)buckets + 1) * sizeof *segment->buckets);
    if (segment->buckets == NULL)
        return false;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < segment->count; i++)
        for (uint32_t own = bucket_of(segment, leading_bits(ocigc_segment_key(segment, i))); bucket <= own; bucket++)
            segment->buckets[bucket] = i;
    for (; bucket <= buckets; bucket++)
        segment->buckets[bucket] = segment->count;
    return true;
}

bool ocigc_segment_seal(struct ocigc_segment *segment, uint32_t threads)
{
    if (segment->algorithm == OCIGC_ALGORITHM_OTHER) {
        if (segment->count > 0)
            qsort_r(segment->entries, segment->count, segment->stride, compare_names, segment->names);
        drop_doubles(segment);
        return true;
    }
    ocigc_sort_entries(segment->entries, segment->count, segment->stride, segment->width, threads);
    drop_doubles(segment);
    return index_buckets(segment);
}

uint32_t ocigc_segment_encoded(const struct ocigc_segment *segment, uint32_t position, char *out)
{
    uint32_t length;
    if (segment->algorithm == OCIGC_ALGORITHM_OTHER) {
        const char *name = name_at(segment, position);
        length = (uint32_t)strlen(name);
        memcpy(out, name, length);
    } else {
        length = 2 * segment->width;
        ocigc_hex_encode(ocigc_segment_key(segment, position), segment->width, out);
    }
    out[length] = '\0';
    return length;
}

static uint32_t find_name(const struct ocigc_segment *segment, const char *name, size_t length)
{
    uint32_t low = 0, high = segment->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *there = name_at(segment, middle);
        int order = strncmp(there, name, length);
        if (order == 0 && there[length] == '\0')
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

uint32_t ocigc_segment_find(const struct ocigc_segment *segment, const char *encoded, size_t length)
{
    if (segment->algorithm == OCIGC_ALGORITHM_OTHER)
        return memchr(encoded, '\0', length) == NULL ? find_name(segment, encoded, length) : UINT32_MAX;
    uint8_t key[64];
    if (ocigc_hex_decode(encoded, length, key, segment->width) != 0)
        return UINT32_MAX;
    return ocigc_segment_find_key(segment, key);
}

/* Where in its bucket a key would stand if those of the bucket were spread evenly. */
static uint32_t guess_in(const struct ocigc_segment *segment, uint64_t leading, uint32_t low, uint32_t high)
{
    return low + (uint32_t)((high - low) * (leading << segment->bucket_bits >> 32) >> 32);
}

void ocigc_segment_prefetch(const struct ocigc_segment *segment, const uint8_t *key)
{
    uint64_t leading = leading_bits(key);
    const uint32_t *bucket = &segment->buckets[bucket_of(segment, leading)];
    __builtin_prefetch(ocigc_segment_key(segment, guess_in(segment, leading, bucket[0], bucket[1])));
}

uint32_t ocigc_segment_find_key(const struct ocigc_segment *segment, const uint8_t *key)
{
    uint64_t leading = leading_bits(key);
    const uint32_t *bucket = &segment->buckets[bucket_of(segment, leading)];
    uint32_t low = bucket[0], high = bucket[1];
    uint32_t guess = guess_in(segment, leading, low, high);
    while (low < high) {
        const uint8_t *there = ocigc_segment_key(segment, guess);
        uint64_t its = leading_bits(there);
        int order = its != leading ? (its < leading ? -1 : 1) : memcmp(there, key, segment->width);
        if (order == 0)
            return guess;
        if (order < 0)
            low = guess + 1;
        else
            high = guess;
        guess = low + (high - low) / 2;
    }
    return UINT32_MAX;
}
