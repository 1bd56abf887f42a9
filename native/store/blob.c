#include "store/archive.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ocigc_store_free(ocigc_store *store)
{
    if (store == NULL)
        return;
    ocigc_store_ahead_end(store);
    ocigc_graph_free(store->graph);
    for (uint32_t i = 0; i < store->table_count; i++) {
        if (store->tables[i].directory >= 0)
            close(store->tables[i].directory);
        if (store->tables[i].shared >= 0)
            close(store->tables[i].shared);
        ocigc_table_free(&store->tables[i]);
    }
    free(store->tables);
    ocigc_status_table_free(&store->status);
    free(store->inodes);
    free(store->by_inode);
    for (uint32_t i = 0; i < store->foreign_kept; i++)
        free(store->foreign[i]);
    free(store->foreign);
    ocigc_archive_free(store->archive);
    if (store->blobs >= 0)
        close(store->blobs);
    if (store->layout >= 0)
        close(store->layout);
    free(store);
}

uint32_t ocigc_store_count(const ocigc_store *store)
{
    return store->count;
}

struct ocigc_place ocigc_store_place(const ocigc_store *store, uint32_t node)
{
    uint32_t low = 0, high = store->table_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (store->tables[middle].first <= node)
            low = middle;
        else
            high = middle;
    }
    const struct ocigc_digest_table *table = &store->tables[low];
    return (struct ocigc_place){table, node - table->first};
}

const struct ocigc_digest_table *ocigc_store_table(const ocigc_store *store, const char *name, size_t length)
{
    uint32_t low = 0, high = store->table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *there = store->tables[middle].name;
        int order = strncmp(there, name, length);
        if (order == 0 && there[length] == '\0')
            return &store->tables[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The node at a position in a table; UINT32_MAX is nowhere. */
static uint32_t node_at(const struct ocigc_digest_table *table, uint32_t position)
{
    return position == UINT32_MAX ? UINT32_MAX : table->first + position;
}

uint32_t ocigc_store_find(const ocigc_store *store, const char *digest, size_t length)
{
    const char *colon = memchr(digest, ':', length);
    if (colon == NULL)
        return UINT32_MAX;
    const struct ocigc_digest_table *table = ocigc_store_table(store, digest, (size_t)(colon - digest));
    if (table == NULL)
        return UINT32_MAX;
    return node_at(table, ocigc_table_find(table, colon + 1, length - (size_t)(colon + 1 - digest)));
}

/* The table of a registered algorithm, or NULL. */
static const struct ocigc_digest_table *table_of(const ocigc_store *store, int32_t algorithm)
{
    const char *name = ocigc_algorithm_name(algorithm);
    return name != NULL ? ocigc_store_table(store, name, strlen(name)) : NULL;
}

static uint32_t find_key(const ocigc_store *store, int32_t algorithm, const uint8_t *key)
{
    const struct ocigc_digest_table *table = table_of(store, algorithm);
    return table != NULL ? node_at(table, ocigc_table_find_key(table, key)) : UINT32_MAX;
}

void ocigc_store_prefetch(const ocigc_store *store, const struct ocigc_digest *digest)
{
    const struct ocigc_digest_table *table = table_of(store, digest->algorithm);
    if (table != NULL)
        ocigc_table_prefetch(table, digest->bytes);
}

uint32_t ocigc_store_find_digest(const ocigc_store *store, const struct ocigc_digest *digest, const char *text,
                                 size_t length)
{
    if (digest->algorithm == OCIGC_ALGORITHM_OTHER)
        return ocigc_store_find(store, text, length);
    return find_key(store, digest->algorithm, digest->bytes);
}

void ocigc_store_find_targets(const ocigc_store *store, const struct ocigc_index *index, uint32_t *nodes)
{
    const struct ocigc_entry *entries = index->entries;
    const char *text = index->text;
    for (uint32_t i = 0; i < index->count; i++) {
        const char *digest = text + entries[i].text;
        if (ocigc_algorithm_name(*digest) != NULL)
            nodes[i] = find_key(store, *digest, (const uint8_t *)digest + 1);
        else
            nodes[i] = ocigc_store_find(store, digest, entries[i].digest_length);
    }
}

size_t ocigc_store_digest(const ocigc_store *store, uint32_t node, char *out)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    size_t encoded_length = ocigc_table_encoded(place.table, place.position, encoded);
    size_t name_length = strlen(place.table->name);
    size_t length = name_length + 1 + encoded_length;
    memcpy(out, place.table->name, name_length);
    out[name_length] = ':';
    memcpy(out + name_length + 1, encoded, encoded_length + 1);
    return length;
}

size_t ocigc_store_digests(const ocigc_store *store, const uint32_t *nodes, size_t count, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += ocigc_store_digest(store, nodes[i], out + length);
        out[length++] = '\n';
    }
    return length;
}

uint64_t ocigc_store_size(const ocigc_store *store, uint32_t node)
{
    uint64_t size = ocigc_status_of(store, node).size;
    return size & OCIGC_STATUS_INODE ? store->inodes[size & OCIGC_SIZE_MASK].size : size & OCIGC_SIZE_MASK;
}

int32_t ocigc_store_has_status(const ocigc_store *store, uint32_t node)
{
    return ocigc_status_of(store, node).stamp != OCIGC_STAMP_UNKNOWN;
}

bool ocigc_blob_was_touched(const ocigc_store *store, uint32_t node)
{
    return (ocigc_status_of(store, node).size & OCIGC_STATUS_TOUCHED) != 0;
}

int64_t ocigc_store_stamp(const ocigc_store *store, uint32_t node)
{
    return ocigc_status_of(store, node).stamp;
}

size_t ocigc_store_newer(const ocigc_store *store, const uint32_t *nodes, size_t count, int64_t instant, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (ocigc_store_stamp(store, nodes[i]) > instant)
            out[found++] = nodes[i];
    return found;
}

void ocigc_store_sizes(const ocigc_store *store, uint64_t *out)
{
    for (uint32_t node = 0; node < store->count; node++)
        out[node] = ocigc_store_size(store, node);
}

size_t ocigc_store_empty(const ocigc_store *store, uint32_t *out, size_t capacity)
{
    size_t found = 0;
    for (uint32_t node = 0; node < store->count; node++) {
        if (ocigc_store_size(store, node) != 0)
            continue;
        if (found < capacity)
            out[found] = node;
        found++;
    }
    return found;
}

int32_t ocigc_store_algorithm(const ocigc_store *store, uint32_t node)
{
    return ocigc_store_place(store, node).table->algorithm;
}

size_t ocigc_store_sweepable(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (ocigc_store_algorithm(store, nodes[i]) != OCIGC_ALGORITHM_OTHER)
            out[found++] = nodes[i];
    return found;
}

static bool is_in_table(const struct ocigc_digest_table *table, const struct ocigc_digest_table *other,
                        uint32_t position)
{
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    if (other == NULL)
        return false;
    if (table->algorithm != OCIGC_ALGORITHM_OTHER)
        return ocigc_table_find_key(other, ocigc_table_key(table, position)) != UINT32_MAX;
    uint32_t length = ocigc_table_encoded(table, position, name);
    return ocigc_table_find(other, name, length) != UINT32_MAX;
}

size_t ocigc_store_added(const ocigc_store *store, const ocigc_store *earlier, uint32_t *out, size_t capacity)
{
    size_t found = 0;
    for (uint32_t i = 0; i < store->table_count; i++) {
        const struct ocigc_digest_table *table = &store->tables[i];
        const struct ocigc_digest_table *before = ocigc_store_table(earlier, table->name, strlen(table->name));
        for (uint32_t position = 0; position < table->count; position++) {
            if (is_in_table(table, before, position))
                continue;
            if (found < capacity)
                out[found] = table->first + position;
            found++;
        }
    }
    return found;
}

const uint8_t *ocigc_blob_digest(const ocigc_store *store, uint32_t node)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    return place.table->algorithm == OCIGC_ALGORITHM_OTHER ? NULL : ocigc_table_key(place.table, place.position);
}

uint64_t ocigc_store_foreign_count(const ocigc_store *store)
{
    return store->foreign_count;
}

const char *ocigc_store_foreign(const ocigc_store *store, uint32_t index)
{
    return index < store->foreign_kept ? store->foreign[index] : NULL;
}

int ocigc_blob_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status)
{
    return S_ISREG(status->st_mode) && (uint64_t)status->st_size == ocigc_store_size(store, node) &&
           ocigc_stamp(status) == ocigc_store_stamp(store, node);
}
