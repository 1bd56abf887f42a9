/* verify.c - which blobs are hashed, and in which order: the largest first, or as they come. */
#include "digest/digest.h"
#include "store/parallel.h"
#include "store/sort.h"
#include "store/verify_lanes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Sorts the queue, the largest blob first. */
static bool sort_queue(const struct ocigc_verify_queue *queue, uint32_t *order)
{
    enum { KEY = 12 }; /* the size and the position, most significant byte first */
    uint8_t *entries = malloc(queue->count * KEY + 1);
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++) {
        uint64_t size = htobe64(~ocigc_store_size(queue->store, queue->nodes[order[i]]));
        uint32_t position = htobe32(order[i]);
        memcpy(entries + i * KEY, &size, sizeof size);
        memcpy(entries + i * KEY + sizeof size, &position, sizeof position);
    }
    ocigc_sort_entries(entries, (uint32_t)queue->count, KEY, KEY, queue->threads);
    for (size_t i = 0; i < queue->count; i++) {
        uint32_t position;
        memcpy(&position, entries + i * KEY + sizeof(uint64_t), sizeof position);
        order[i] = be32toh(position);
    }
    free(entries);
    return true;
}

/* How many blobs at the beginning of the queue are large. */
static size_t count_large(const struct ocigc_verify_queue *queue)
{
    enum { LARGE = 256 << 10 }; /* bytes; a manifest is smaller */
    size_t large = 0;
    while (large < queue->count && ocigc_store_size(queue->store, queue->nodes[queue->order[large]]) >= LARGE)
        large++;
    return large;
}

/* Hashes what is in the queue, on all threads. */
static int32_t run_queue(struct ocigc_verify_queue *queue, struct ocigc_error *error)
{
    if (queue->count == 0)
        return OCIGC_OK;
    queue->next = 0;
    queue->ready = count_large(queue);
    queue->left = 0;
    for (size_t i = 0; i < queue->count; i++)
        queue->left += (int64_t)ocigc_store_size(queue->store, queue->nodes[queue->order[i]]);
    ocigc_read_ahead_init(&queue->ahead, queue->store, queue->nodes, queue->order, queue->count, &queue->next);
    ocigc_parallel(queue->threads, ocigc_verify_lanes, queue);
    ocigc_read_ahead_free(&queue->ahead);
    if (ocigc_cancelled(queue->progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    if (!queue->late && __atomic_load_n(&queue->next, __ATOMIC_RELAXED) < queue->count)
        return ocigc_fail_memory(error);
    return OCIGC_OK;
}

/* One algorithm after the other: the lanes of a kernel all run the same one. */
static int32_t verify_largest_first(struct ocigc_verify_queue *queue, uint32_t *order, size_t count,
                                    struct ocigc_error *error)
{
    int32_t result = OCIGC_OK;
    for (int32_t algorithm = OCIGC_ALGORITHM_OTHER; algorithm <= OCIGC_BLAKE3 && result == OCIGC_OK; algorithm++) {
        queue->algorithm = algorithm;
        queue->count = 0;
        for (uint32_t i = 0; i < count; i++)
            if (ocigc_store_algorithm(queue->store, queue->nodes[i]) == algorithm &&
                queue->verdicts[i] == OCIGC_VERDICT_UNCHECKED)
                order[queue->count++] = i;
        result = sort_queue(queue, order) ? run_queue(queue, error) : ocigc_fail_memory(error);
    }
    return result;
}

/* A run of blobs of one algorithm at a time. */
static int32_t verify_in_order(struct ocigc_verify_queue *queue, uint32_t *order, size_t count,
                               struct ocigc_error *error)
{
    int32_t result = OCIGC_OK;
    for (uint32_t i = 0; i < count && result == OCIGC_OK;) {
        queue->algorithm = ocigc_store_algorithm(queue->store, queue->nodes[i]);
        queue->count = 0;
        for (; i < count && ocigc_store_algorithm(queue->store, queue->nodes[i]) == queue->algorithm; i++)
            if (queue->verdicts[i] == OCIGC_VERDICT_UNCHECKED)
                order[queue->count++] = i;
        result = run_queue(queue, error);
    }
    return result;
}

void ocigc_verify_release(int32_t *held)
{
    __atomic_store_n(held, 0, __ATOMIC_RELEASE);
}

int32_t ocigc_verify(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                     const struct ocigc_verify_options *options, uint8_t *verdicts, struct ocigc_progress *progress,
                     struct ocigc_error *error)
{
    struct ocigc_verify_queue queue = {
        .store = store,
        .nodes = nodes,
        .verdicts = verdicts,
        .threads = ocigc_thread_count(threads),
        .deadline = options != NULL ? options->deadline : INT64_MAX,
        .checksums = options != NULL ? options->checksums : NULL,
        .held = options != NULL ? options->held : NULL,
        .progress = progress,
    };
    uint32_t *order = malloc((count + 1) * sizeof *order);
    if (order == NULL)
        return ocigc_fail_memory(error);
    queue.order = order;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_supported = ocigc_kernels_of(ocigc_store_algorithm(store, nodes[i]), NULL).many != NULL;
        verdicts[i] = is_supported ? OCIGC_VERDICT_UNCHECKED : OCIGC_VERDICT_UNSUPPORTED;
        bytes += ocigc_store_size(store, nodes[i]);
    }
    if (progress != NULL) {
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
        __atomic_store_n(&progress->total_bytes, bytes, __ATOMIC_RELAXED);
    }
    int32_t result = options != NULL && options->in_order ? verify_in_order(&queue, order, count, error)
                                                          : verify_largest_first(&queue, order, count, error);
    free(order);
    return result;
}
