#include "store/digest_table.h"

#include "base/vector.h"
#include "store/sort.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_KEY_WIDTH = 8 }; /* an offset into the names, padded to keep the status after it aligned */

bool ocigc_table_init(struct ocigc_digest_table *table, const char *name, int32_t detail)
{
    int32_t algorithm = ocigc_algorithm_of(name, strlen(name));
    uint32_t width = algorithm != OCIGC_ALGORITHM_OTHER ? ocigc_algorithm_width(algorithm) : NAME_KEY_WIDTH;
    uint32_t status = detail != OCIGC_SCAN_NAMES ? sizeof(struct ocigc_status) : 0;
    uint32_t identity = detail == OCIGC_SCAN_IDENTITY ? sizeof(struct ocigc_identity) : 0;
    *table = (struct ocigc_digest_table){
        .name = strdup(name),
        .algorithm = algorithm,
        .directory = -1,
        .shared = -1,
        .width = width,
        .stride = width + status + identity,
    };
    return table->name != NULL;
}

void ocigc_table_free(struct ocigc_digest_table *table)
{
    free(table->name);
    free(table->entries);
    free(table->buckets);
    free(table->names);
}

static uint32_t name_offset(const uint8_t *key)
{
    uint32_t offset;
    memcpy(&offset, key, sizeof offset);
    return offset;
}

static const char *name_at(const struct ocigc_digest_table *table, uint32_t position)
{
    return table->names + name_offset(ocigc_table_key(table, position));
}

static bool reserve(struct ocigc_digest_table *table, uint32_t more)
{
    return ocigc_reserve(&table->entries, &table->capacity, table->count, more, table->stride);
}

bool ocigc_table_add(struct ocigc_digest_table *table, const uint8_t *digest, const char *name)
{
    if (!reserve(table, 1))
        return false;
    uint8_t *key = ocigc_table_key(table, table->count);
    if (table->algorithm != OCIGC_ALGORITHM_OTHER) {
        memcpy(key, digest, table->width);
    } else {
        uint32_t length = (uint32_t)strlen(name) + 1;
        if (!ocigc_reserve(&table->names, &table->names_capacity, table->names_length, length, 1))
            return false;
        memset(key, 0, table->width);
        memcpy(key, &table->names_length, sizeof table->names_length);
        memcpy(table->names + table->names_length, name, length);
        table->names_length += length;
    }
    table->count++;
    return true;
}

bool ocigc_table_append(struct ocigc_digest_table *table, struct ocigc_digest_table *other)
{
    if (!reserve(table, other->count) ||
        !ocigc_reserve(&table->names, &table->names_capacity, table->names_length, other->names_length, 1))
        return false;
    if (other->count > 0)
        memcpy(ocigc_table_key(table, table->count), other->entries, (size_t)other->count * other->stride);
    if (other->names_length > 0)
        memcpy(table->names + table->names_length, other->names, other->names_length);
    for (uint32_t i = table->count; other->names_length > 0 && i < table->count + other->count; i++) {
        uint32_t offset = name_offset(ocigc_table_key(table, i)) + table->names_length;
        memcpy(ocigc_table_key(table, i), &offset, sizeof offset);
    }
    table->count += other->count;
    table->names_length += other->names_length;
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

static bool same_key(const struct ocigc_digest_table *table, uint32_t left, uint32_t right)
{
    if (table->algorithm == OCIGC_ALGORITHM_OTHER)
        return strcmp(name_at(table, left), name_at(table, right)) == 0;
    const uint8_t *a = ocigc_table_key(table, left), *b = ocigc_table_key(table, right);
    return leading_bits(a) == leading_bits(b) && memcmp(a, b, table->width) == 0;
}

/* A directory that changes while it is read may show a name twice. */
static void drop_doubles(struct ocigc_digest_table *table)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        if (kept > 0 && same_key(table, kept - 1, i))
            continue;
        if (kept != i)
            memcpy(ocigc_table_key(table, kept), ocigc_table_key(table, i), table->stride);
        kept++;
    }
    table->count = kept;
}

static uint32_t bucket_of(const struct ocigc_digest_table *table, uint64_t leading)
{
    return (uint32_t)(leading >> 32 >> (32 - table->bucket_bits));
}

/* There are four to eight entries per bucket if keys are as random as digests. If somebody made them collide, a look-up
 * is still a binary search. */
static bool index_buckets(struct ocigc_digest_table *table)
{
    table->bucket_bits = 0;
    while (table->count >> (table->bucket_bits + 3) != 0)
        table->bucket_bits++;
    uint32_t buckets = 1u << table->bucket_bits;
    table->buckets = malloc(((size_t)buckets + 1) * sizeof *table->buckets);
    if (table->buckets == NULL)
        return false;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < table->count; i++)
        for (uint32_t own = bucket_of(table, leading_bits(ocigc_table_key(table, i))); bucket <= own; bucket++)
            table->buckets[bucket] = i;
    for (; bucket <= buckets; bucket++)
        table->buckets[bucket] = table->count;
    return true;
}

bool ocigc_table_sort(struct ocigc_digest_table *table, uint32_t threads)
{
    if (table->algorithm == OCIGC_ALGORITHM_OTHER) {
        if (table->count > 0)
            qsort_r(table->entries, table->count, table->stride, compare_names, table->names);
        drop_doubles(table);
        return true;
    }
    ocigc_sort_entries(table->entries, table->count, table->stride, table->width, threads);
    drop_doubles(table);
    return index_buckets(table);
}

uint32_t ocigc_table_encoded(const struct ocigc_digest_table *table, uint32_t position, char *out)
{
    uint32_t length;
    if (table->algorithm == OCIGC_ALGORITHM_OTHER) {
        const char *name = name_at(table, position);
        length = (uint32_t)strlen(name);
        memcpy(out, name, length);
    } else {
        length = 2 * table->width;
        ocigc_hex_encode(ocigc_table_key(table, position), table->width, out);
    }
    out[length] = '\0';
    return length;
}

static uint32_t find_name(const struct ocigc_digest_table *table, const char *name, size_t length)
{
    uint32_t low = 0, high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *there = name_at(table, middle);
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

uint32_t ocigc_table_find(const struct ocigc_digest_table *table, const char *encoded, size_t length)
{
    if (table->algorithm == OCIGC_ALGORITHM_OTHER)
        return memchr(encoded, '\0', length) == NULL ? find_name(table, encoded, length) : UINT32_MAX;
    uint8_t key[64];
    if (ocigc_hex_decode(encoded, length, key, table->width) != 0)
        return UINT32_MAX;
    return ocigc_table_find_key(table, key);
}

/* Where a key would be in its bucket if the keys there were spread evenly. */
static uint32_t guess_in(const struct ocigc_digest_table *table, uint64_t leading, uint32_t low, uint32_t high)
{
    return low + (uint32_t)((high - low) * (leading << table->bucket_bits >> 32) >> 32);
}

void ocigc_table_prefetch(const struct ocigc_digest_table *table, const uint8_t *key)
{
    uint64_t leading = leading_bits(key);
    const uint32_t *bucket = &table->buckets[bucket_of(table, leading)];
    __builtin_prefetch(ocigc_table_key(table, guess_in(table, leading, bucket[0], bucket[1])));
}

uint32_t ocigc_table_find_key(const struct ocigc_digest_table *table, const uint8_t *key)
{
    uint64_t leading = leading_bits(key);
    const uint32_t *bucket = &table->buckets[bucket_of(table, leading)];
    uint32_t low = bucket[0], high = bucket[1];
    uint32_t guess = guess_in(table, leading, low, high);
    while (low < high) {
        const uint8_t *there = ocigc_table_key(table, guess);
        uint64_t its = leading_bits(there);
        int order = its != leading ? (its < leading ? -1 : 1) : memcmp(there, key, table->width);
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
