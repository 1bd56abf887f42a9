/* The verify engine: blobs from a queue, the largest first, into the lanes of each thread.
 *
 * A lane is filled again the moment its blob ends, so that all lanes of a kernel stay busy until the queue is empty; and
 * with the largest first, no thread is left alone with a large one at the end. Blobs are read, not mapped: a file that
 * shrinks while it is mapped kills the process that reads it. */

#include "digest/digest.h"
#include "digest/xxh3.h"
#include "store/files.h"
#include "store/parallel.h"
#include "store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (128u << 10) /* bytes read at once; a multiple of every block */

struct work {
    const ocigc_store *store;
    const uint32_t *nodes;
    const uint32_t *order; /* positions in nodes and verdicts, the largest blob first */
    uint8_t *verdicts;
    size_t count;
    size_t next; /* shared by the threads, as is `late` */
    bool late;   /* the deadline has come before the queue's end */
    int32_t algorithm;
    int64_t deadline;
    struct ocigc_checksum *checksums;
    struct ocigc_progress *progress;
};

/* A blob in progress. */
struct blob {
    struct ocigc_lane lane;
    uint8_t *buffer; /* CHUNK + OCIGC_PADDING_MAX */
    uint32_t position;
    int32_t algorithm;
    int file;
    struct stat status;
    uint64_t done;
    bool padded;
    struct ocigc_xxh3 checksum;
};

/* The lanes of one thread. */
struct batch {
    struct work *work;
    struct ocigc_kernels kernels;
    struct blob blobs[OCIGC_LANES_MAX];
    uint32_t used;
};

static void finish(struct batch *batch, struct blob *blob, uint8_t verdict)
{
    batch->work->verdicts[blob->position] = verdict;
    if (blob->file >= 0)
        close(blob->file);
    blob->file = -1;
    ocigc_progress_add(batch->work->progress, 1, 0);
}

/* The next piece of the blob into its buffer, with the padding behind the last. False where the blob is settled. */
static bool fill(struct batch *batch, struct blob *blob)
{
    uint64_t size = (uint64_t)blob->status.st_size;
    size_t wanted = size - blob->done < CHUNK ? (size_t)(size - blob->done) : CHUNK;
    ssize_t got = wanted == 0 ? 0 : ocigc_read_up_to(blob->file, (char *)blob->buffer, wanted);
    if (got < 0 || (size_t)got < wanted) {
        finish(batch, blob, got < 0 ? OCIGC_VERDICT_UNREADABLE : OCIGC_VERDICT_CHANGED);
        return false;
    }
    if (batch->work->checksums != NULL)
        ocigc_xxh3_update(&blob->checksum, blob->buffer, wanted);
    blob->done += wanted;
    ocigc_progress_add(batch->work->progress, 0, wanted);
    size_t filled = wanted;
    if (blob->done == size) {
        filled += ocigc_pad(blob->algorithm, size, blob->buffer + filled);
        blob->padded = true;
    }
    blob->lane.data = blob->buffer;
    blob->lane.blocks = filled / ocigc_block_size(blob->algorithm);
    return true;
}

static bool start_blob(struct batch *batch, struct blob *blob, uint32_t position)
{
    struct work *work = batch->work;
    uint32_t node = work->nodes[position];
    struct ocigc_error error;
    blob->position = position;
    blob->done = 0;
    blob->padded = false;
    blob->file = ocigc_blob_open(work->store, node, &blob->status, &error);
    if (blob->file < 0) {
        finish(batch, blob, error.os_errno == ENOENT ? OCIGC_VERDICT_GONE : OCIGC_VERDICT_UNREADABLE);
        return false;
    }
    if (!ocigc_blob_unchanged(work->store, node, &blob->status)) {
        finish(batch, blob, OCIGC_VERDICT_CHANGED);
        return false;
    }
    if (blob->status.st_size > (off_t)CHUNK)
        posix_fadvise(blob->file, 0, 0, POSIX_FADV_SEQUENTIAL);
    ocigc_state_start(blob->algorithm, &blob->lane.state);
    if (work->checksums != NULL)
        ocigc_xxh3_start(&blob->checksum);
    return fill(batch, blob);
}

/* Whether what was read is still all that stands under the blob's name. */
static bool is_still_there(const struct batch *batch, const struct blob *blob)
{
    struct stat now;
    if (fstat(blob->file, &now) != 0 || now.st_size != blob->status.st_size)
        return false;
    if (now.st_nlink == blob->status.st_nlink)
        return true;
    int file = ocigc_blob_open(batch->work->store, batch->work->nodes[blob->position], &now, NULL);
    if (file >= 0)
        close(file);
    return file >= 0 && now.st_ino == blob->status.st_ino && now.st_dev == blob->status.st_dev;
}

/* A whole blob has been hashed: what is it? */
static void finish_hashed(struct batch *batch, struct blob *blob)
{
    uint32_t node = batch->work->nodes[blob->position];
    uint8_t digest[64];
    struct stat status;
    char beyond;
    ocigc_state_finish(blob->algorithm, &blob->lane.state, digest);
    if (memcmp(digest, ocigc_blob_digest(batch->work->store, node), ocigc_algorithm_width(blob->algorithm)) == 0) {
        if (batch->work->checksums != NULL)
            batch->work->checksums[blob->position] = ocigc_xxh3_finish(&blob->checksum);
        finish(batch, blob, is_still_there(batch, blob) ? OCIGC_VERDICT_SOUND : OCIGC_VERDICT_CHANGED);
    } else if (fstat(blob->file, &status) != 0 || !ocigc_blob_unchanged(batch->work->store, node, &status) ||
               ocigc_read_up_to(blob->file, &beyond, 1) != 0) {
        finish(batch, blob, OCIGC_VERDICT_CHANGED);
    } else {
        finish(batch, blob, OCIGC_VERDICT_CORRUPT);
    }
}

/* Refills the lanes that are empty; drops those whose blob is done. */
static void refill(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->used;) {
        struct blob *blob = &batch->blobs[i];
        if (blob->lane.blocks > 0 || (!blob->padded && fill(batch, blob))) {
            i++;
            continue;
        }
        if (blob->file >= 0)
            finish_hashed(batch, blob);
        struct blob done = *blob;
        *blob = batch->blobs[--batch->used];
        batch->blobs[batch->used] = done; /* its buffer stays in use */
    }
}

/* The next of the queue; SIZE_MAX at its end, or behind the deadline. */
static size_t draw(struct work *work)
{
    if (ocigc_is_past(work->deadline)) {
        __atomic_store_n(&work->late, true, __ATOMIC_RELAXED);
        return SIZE_MAX;
    }
    size_t drawn = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
    return drawn < work->count ? drawn : SIZE_MAX;
}

static void run(struct batch *batch)
{
    struct work *work = batch->work;
    size_t drawn = draw(work);
    do {
        while (batch->used < batch->kernels.many->lanes && drawn != SIZE_MAX) {
            struct blob *blob = &batch->blobs[batch->used];
            blob->algorithm = work->algorithm;
            if (start_blob(batch, blob, work->order[drawn]))
                batch->used++;
            drawn = draw(work);
        }
        struct ocigc_lane *active[OCIGC_LANES_MAX];
        for (uint32_t i = 0; i < batch->used; i++)
            active[i] = &batch->blobs[i].lane;
        if (batch->used > 0)
            ocigc_lanes_advance(&batch->kernels, active, batch->used);
        refill(batch);
    } while ((batch->used > 0 || drawn != SIZE_MAX) && !ocigc_cancelled(work->progress));
    for (uint32_t i = 0; i < batch->used; i++)
        close(batch->blobs[i].file);
}

static void work_thread(void *context)
{
    struct work *work = context;
    struct batch batch = {.work = work, .kernels = ocigc_kernels_of(work->algorithm, NULL)};
    uint8_t *buffers = malloc((size_t)OCIGC_LANES_MAX * (CHUNK + OCIGC_PADDING_MAX));
    if (buffers == NULL)
        return; /* the other threads draw its share */
    for (uint32_t i = 0; i < OCIGC_LANES_MAX; i++)
        batch.blobs[i].buffer = buffers + (size_t)i * (CHUNK + OCIGC_PADDING_MAX);
    run(&batch);
    free(buffers);
}

static int larger_first(const void *left, const void *right, void *context)
{
    const struct work *work = context;
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    uint64_t size_a = ocigc_store_size(work->store, work->nodes[a]);
    uint64_t size_b = ocigc_store_size(work->store, work->nodes[b]);
    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return (a > b) - (a < b);
}

/* Runs the queue that `work` holds. */
static int32_t run_queue(struct work *work, uint32_t threads, struct ocigc_error *error)
{
    if (work->count == 0)
        return OCIGC_OK;
    work->next = 0;
    ocigc_parallel(ocigc_thread_count(threads), work_thread, work);
    if (ocigc_cancelled(work->progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    if (!work->late && __atomic_load_n(&work->next, __ATOMIC_RELAXED) < work->count)
        return ocigc_fail_memory(error);
    return OCIGC_OK;
}

/* One algorithm after the other: a kernel's lanes all run the same one. */
static int32_t verify_largest_first(struct work *work, uint32_t *order, size_t count, uint32_t threads,
                                    struct ocigc_error *error)
{
    int32_t result = OCIGC_OK;
    for (int32_t algorithm = OCIGC_ALGORITHM_OTHER; algorithm <= OCIGC_BLAKE3 && result == OCIGC_OK; algorithm++) {
        work->algorithm = algorithm;
        work->count = 0;
        for (uint32_t i = 0; i < count; i++)
            if (ocigc_store_algorithm(work->store, work->nodes[i]) == algorithm &&
                work->verdicts[i] != OCIGC_VERDICT_UNSUPPORTED)
                order[work->count++] = i;
        if (work->count > 0)
            qsort_r(order, work->count, sizeof *order, larger_first, work);
        result = run_queue(work, threads, error);
    }
    return result;
}

/* As far as blobs of one algorithm follow each other, at a time. */
static int32_t verify_in_order(struct work *work, uint32_t *order, size_t count, uint32_t threads,
                               struct ocigc_error *error)
{
    int32_t result = OCIGC_OK;
    for (uint32_t i = 0; i < count && result == OCIGC_OK;) {
        work->algorithm = ocigc_store_algorithm(work->store, work->nodes[i]);
        work->count = 0;
        for (; i < count && ocigc_store_algorithm(work->store, work->nodes[i]) == work->algorithm; i++)
            if (work->verdicts[i] != OCIGC_VERDICT_UNSUPPORTED)
                order[work->count++] = i;
        result = run_queue(work, threads, error);
    }
    return result;
}

int32_t ocigc_verify(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                     const struct ocigc_verify_options *options, uint8_t *verdicts, struct ocigc_progress *progress,
                     struct ocigc_error *error)
{
    struct work work = {.store = store, .nodes = nodes, .verdicts = verdicts, .progress = progress};
    work.deadline = options != NULL ? options->deadline : INT64_MAX;
    work.checksums = options != NULL ? options->checksums : NULL;
    uint32_t *order = malloc((count + 1) * sizeof *order);
    if (order == NULL)
        return ocigc_fail_memory(error);
    work.order = order;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bool computable = ocigc_kernels_of(ocigc_store_algorithm(store, nodes[i]), NULL).many != NULL;
        verdicts[i] = computable ? OCIGC_VERDICT_UNCHECKED : OCIGC_VERDICT_UNSUPPORTED;
        bytes += ocigc_store_size(store, nodes[i]);
    }
    if (progress != NULL) {
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
        __atomic_store_n(&progress->total_bytes, bytes, __ATOMIC_RELAXED);
    }
    int32_t result = options != NULL && options->in_order ? verify_in_order(&work, order, count, threads, error)
                                                      : verify_largest_first(&work, order, count, threads, error);
    free(order);
    return result;
}
