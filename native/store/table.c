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
    ocigc_graph_free(store->graph);
    for (uint32_t i = 0; i < store->segment_count; i++) {
        if (store->segments[i].directory >= 0)
            close(store->segments[i].directory);
        ocigc_segment_free(&store->segments[i]);
    }
    free(store->segments);
    ocigc_facts_free(&store->facts);
    free(store->links);
    for (uint32_t i = 0; i < store->foreign_kept; i++)
        free(store->foreign[i]);
    free(store->foreign);
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
    uint32_t low = 0, high = store->segment_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (store->segments[middle].first <= node)
            low = middle;
        else
            high = middle;
    }
    const struct ocigc_segment *segment = &store->segments[low];
    return (struct ocigc_place){segment, node - segment->first};
}

const struct ocigc_segment *ocigc_store_segment(const ocigc_store *store, const char *name, size_t length)
{
    uint32_t low = 0, high = store->segment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *there = store->segments[middle].name;
        int order = strncmp(there, name, length);
        if (order == 0 && there[length] == '\0')
            return &store->segments[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The node at a position in a segment; UINT32_MAX is nowhere. */
static uint32_t node_at(const struct ocigc_segment *segment, uint32_t position)
{
    return position == UINT32_MAX ? UINT32_MAX : segment->first + position;
}

uint32_t ocigc_store_find(const ocigc_store *store, const char *digest, size_t length)
{
    const char *colon = memchr(digest, ':', length);
    if (colon == NULL)
        return UINT32_MAX;
    const struct ocigc_segment *segment = ocigc_store_segment(store, digest, (size_t)(colon - digest));
    if (segment == NULL)
        return UINT32_MAX;
    return node_at(segment, ocigc_segment_find(segment, colon + 1, length - (size_t)(colon + 1 - digest)));
}

/* The segment of a registered algorithm, or NULL. */
static const struct ocigc_segment *segment_of(const ocigc_store *store, int32_t algorithm)
{
    const char *name = ocigc_algorithm_name(algorithm);
    return name != NULL ? ocigc_store_segment(store, name, strlen(name)) : NULL;
}

static uint32_t find_key(const ocigc_store *store, int32_t algorithm, const uint8_t *key)
{
    const struct ocigc_segment *segment = segment_of(store, algorithm);
    return segment != NULL ? node_at(segment, ocigc_segment_find_key(segment, key)) : UINT32_MAX;
}

void ocigc_store_seek(const ocigc_store *store, const struct ocigc_digest *digest)
{
    const struct ocigc_segment *segment = segment_of(store, digest->algorithm);
    if (segment != NULL)
        ocigc_segment_prefetch(segment, digest->bytes);
}

uint32_t ocigc_store_find_digest(const ocigc_store *store, const struct ocigc_digest *digest, const char *text,
                                 size_t length)
{
    if (digest->algorithm == OCIGC_ALGORITHM_OTHER)
        return ocigc_store_find(store, text, length);
    return find_key(store, digest->algorithm, digest->bytes);
}

void ocigc_store_find_targets(const ocigc_store *store, const ocigc_index *index, uint32_t *nodes)
{
    const struct ocigc_entry *entries = ocigc_index_entries(index);
    const char *text = ocigc_index_text(index);
    for (uint32_t i = 0; i < ocigc_index_count(index); i++) {
        const char *digest = text + entries[i].text;
        if (ocigc_algorithm_name(*digest) != NULL)
            nodes[i] = find_key(store, *digest, (const uint8_t *)digest + 1);
        else
            nodes[i] = ocigc_store_find(store, digest, entries[i].digest_length);
    }
}

size_t ocigc_store_digest(const ocigc_store *store, uint32_t node, char *out, size_t capacity)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    size_t encoded_length = ocigc_segment_encoded(place.segment, place.position, encoded);
    size_t name_length = strlen(place.segment->name);
    size_t length = name_length + 1 + encoded_length;
    if (length >= capacity)
        return 0;
    memcpy(out, place.segment->name, name_length);
    out[name_length] = ':';
    memcpy(out + name_length + 1, encoded, encoded_length + 1);
    return length;
}

size_t ocigc_store_digests(const ocigc_store *store, const uint32_t *nodes, size_t count, char *out)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += ocigc_store_digest(store, nodes[i], out + length, OCIGC_DIGEST_TEXT_MAX + 1);
        out[length++] = '\n';
    }
    return length;
}

uint64_t ocigc_store_size(const ocigc_store *store, uint32_t node)
{
    uint64_t size = ocigc_facts_of(store, node).size;
    return size & OCIGC_LINKED ? store->links[size & OCIGC_SIZE_MASK].size : size & OCIGC_SIZE_MASK;
}

int32_t ocigc_store_surveyed(const ocigc_store *store, uint32_t node)
{
    return ocigc_facts_of(store, node).stamp != OCIGC_STAMP_UNKNOWN;
}

bool ocigc_blob_moved(const ocigc_store *store, uint32_t node)
{
    return (ocigc_facts_of(store, node).size & OCIGC_MOVED) != 0;
}

int64_t ocigc_store_stamp(const ocigc_store *store, uint32_t node)
{
    return ocigc_facts_of(store, node).stamp;
}

size_t ocigc_store_newer(const ocigc_store *store, const uint32_t *nodes, size_t count, int64_t instant, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (ocigc_store_stamp(store, nodes[i]) > instant)
            out[found++] = nodes[i];
    return found;
}

int32_t ocigc_store_algorithm(const ocigc_store *store, uint32_t node)
{
    return ocigc_store_place(store, node).segment->algorithm;
}

size_t ocigc_store_sweepable(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (ocigc_store_algorithm(store, nodes[i]) != OCIGC_ALGORITHM_OTHER)
            out[found++] = nodes[i];
    return found;
}

const uint8_t *ocigc_blob_digest(const ocigc_store *store, uint32_t node)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    return place.segment->algorithm == OCIGC_ALGORITHM_OTHER ? NULL : ocigc_segment_key(place.segment, place.position);
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

static int open_blob(const ocigc_store *store, struct ocigc_place place, const char *encoded)
{
    if (place.segment->directory >= 0)
        return ocigc_open_file(place.segment->directory, encoded);
    int directory = ocigc_open_directory(store->blobs, place.segment->name);
    if (directory < 0)
        return -1;
    int file = ocigc_open_file(directory, encoded);
    int cause = errno;
    close(directory);
    errno = cause;
    return file;
}

int ocigc_blob_open(const ocigc_store *store, uint32_t node, struct stat *status, struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_segment_encoded(place.segment, place.position, encoded);
    int file = open_blob(store, place, encoded);
    if (file < 0) {
        if (errno == ELOOP || errno == ENXIO) /* a symlink; a socket, or a device that is not there */
            ocigc_fail(error, OCIGC_LAYOUT, "blobs/%s/%s is no plain file", place.segment->name, encoded);
        else
            ocigc_fail_system(error, errno, "cannot open %s:%s", place.segment->name, encoded);
        return -1;
    }
    if (fstat(file, status) != 0) {
        ocigc_fail_system(error, errno, "cannot read the status of %s:%s", place.segment->name, encoded);
    } else if (!S_ISREG(status->st_mode)) {
        ocigc_fail(error, OCIGC_LAYOUT, "blobs/%s/%s is %s", place.segment->name, encoded, ocigc_kind(status->st_mode));
    } else {
        return file;
    }
    close(file);
    return -1;
}
