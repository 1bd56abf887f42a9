/* verify_lanes.c - one thread's blobs, each hashed in a lane of a kernel.
 *
 * A lane gets a new blob as soon as its blob ends, so that all lanes of a kernel are busy until the queue is empty.
 * With the largest first, no thread is left with a large blob at the end. If a blob would still take longer than all
 * others together, it goes through a narrower kernel, which is faster for a single blob. */
#include "store/verify_lanes.h"

#include "digest/digest.h"
#include "digest/xxh3.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/guard.h"
#include "store/parallel.h"
#include "store/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A blob in progress. */
struct blob {
    struct ocigc_lane lane;
    struct ocigc_stream stream;
    uint8_t *tail; /* its last bytes and the padding: OCIGC_BLOCK_MAX + OCIGC_PADDING_MAX */
    uint32_t position;
    struct ocigc_blob content;
    bool is_padded;
    struct ocigc_xxh3 checksum;
};

/* The lanes of one thread. */
struct batch {
    struct ocigc_verify_queue *queue;
    struct ocigc_kernels kernels;
    struct ocigc_windows windows;
    struct blob blobs[OCIGC_LANES_MAX];
    uint32_t used;
    uint16_t cold;  /* a bit for each of the last blobs that were looked at */
    size_t waiting; /* drawn, but not started for want of file descriptors; SIZE_MAX: none */
};

/* --------------------------------------------------------------- one blob */

static void count_down(struct ocigc_verify_queue *queue, uint64_t bytes)
{
    __atomic_fetch_sub(&queue->left, (int64_t)bytes, __ATOMIC_RELAXED);
}

static void set_verdict(struct batch *batch, uint32_t position, uint8_t verdict)
{
    batch->queue->verdicts[position] = verdict;
    ocigc_progress_add(batch->queue->progress, 1, 0);
}

/* Closes the blob of a lane and moves the last lane into its place. */
static void drop(struct batch *batch, uint32_t index)
{
    struct blob dropped = batch->blobs[index];
    ocigc_stream_end(&dropped.stream);
    ocigc_blob_close(&dropped.content);
    count_down(batch->queue, dropped.stream.size - dropped.stream.done);
    batch->blobs[index] = batch->blobs[--batch->used];
    batch->blobs[batch->used] = dropped; /* its buffers stay in use */
}

static void finish(struct batch *batch, uint32_t index, uint8_t verdict)
{
    set_verdict(batch, batch->blobs[index].position, verdict);
    drop(batch, index);
}

/* Pads what is left of the last piece. */
static void pad(const struct batch *batch, struct blob *blob, const uint8_t *rest, size_t length)
{
    int32_t algorithm = batch->queue->algorithm;
    if (length > 0)
        memcpy(blob->tail, rest, length);
    size_t padded = length + ocigc_pad(algorithm, blob->stream.size, blob->tail + length);
    blob->lane.data = blob->tail;
    blob->lane.blocks = padded / ocigc_block_size(algorithm);
    blob->is_padded = true;
}

/* Gives a lane its next blocks. Returns OCIGC_VERDICT_UNCHECKED, or why it cannot. */
static uint8_t fill(const struct batch *batch, struct blob *blob)
{
    size_t block = ocigc_block_size(batch->queue->algorithm);
    const uint8_t *piece = blob->tail;
    size_t length = 0;
    if (blob->stream.done < blob->stream.size) {
        ssize_t got = ocigc_stream_next(&blob->stream, &piece);
        if (got <= 0)
            return got < 0 ? OCIGC_VERDICT_UNREADABLE : OCIGC_VERDICT_CHANGED;
        length = (size_t)got;
        if (length % block != 0 && blob->stream.done < blob->stream.size)
            return OCIGC_VERDICT_CHANGED; /* only the end of a file ends within a piece */
        count_down(batch->queue, length);
        ocigc_progress_add(batch->queue->progress, 0, length);
        if (batch->queue->checksums != NULL)
            ocigc_xxh3_update(&blob->checksum, piece, length);
    }
    blob->lane.data = piece;
    blob->lane.blocks = length / block;
    if (blob->lane.blocks == 0)
        pad(batch, blob, piece, length);
    return OCIGC_VERDICT_UNCHECKED;
}

/* Whether the file under the blob's name is still the one that was read, and has no more bytes. */
static bool is_still_there(const struct batch *batch, const struct blob *blob)
{
    const struct stat *before = &blob->content.status;
    struct stat now;
    if (!ocigc_blob_status(&blob->content, &now) || now.st_size != before->st_size)
        return false;
    if (now.st_nlink == before->st_nlink)
        return true;
    int cause = ocigc_blob_stat(batch->queue->store, batch->queue->nodes[blob->position], &now);
    return cause == 0 && now.st_ino == before->st_ino && now.st_dev == before->st_dev;
}

/* The verdict on a blob that is hashed to its end. */
static uint8_t judge(const struct batch *batch, const struct blob *blob)
{
    const struct ocigc_verify_queue *queue = batch->queue;
    uint32_t node = queue->nodes[blob->position];
    uint8_t actual[64];
    char beyond;
    struct stat status;
    ocigc_state_finish(queue->algorithm, &blob->lane.state, actual);
    if (memcmp(actual, ocigc_blob_digest(queue->store, node), ocigc_algorithm_width(queue->algorithm)) == 0) {
        if (queue->checksums != NULL)
            queue->checksums[blob->position] = ocigc_xxh3_finish(&blob->checksum);
        return is_still_there(batch, blob) ? OCIGC_VERDICT_SOUND : OCIGC_VERDICT_CHANGED;
    }
    bool changed =
        !ocigc_blob_status(&blob->content, &status) || !ocigc_blob_unchanged(queue->store, node, &status) ||
        (blob->content.extent == NULL && pread(blob->stream.file, &beyond, 1, (off_t)blob->stream.size) != 0);
    return changed ? OCIGC_VERDICT_CHANGED : OCIGC_VERDICT_CORRUPT;
}

/* ------------------------------------------------------------------- lanes */

/* Gives new blocks to the lanes that have none, and finishes those that are done. */
static void refill(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->used;) {
        struct blob *blob = &batch->blobs[i];
        if (blob->lane.blocks == 0 && !blob->is_padded && blob->stream.done == blob->stream.size &&
            blob->stream.size > 0)
            pad(batch, blob, blob->lane.data, blob->stream.size % ocigc_block_size(batch->queue->algorithm));
        uint8_t verdict = OCIGC_VERDICT_UNCHECKED;
        if (blob->lane.blocks == 0)
            verdict = blob->is_padded ? judge(batch, blob) : fill(batch, blob);
        if (verdict == OCIGC_VERDICT_UNCHECKED)
            i++;
        else
            finish(batch, i, verdict);
    }
}

/* Whether the caller still changes the graph. */
static bool is_held(const struct ocigc_verify_queue *queue)
{
    return queue->held != NULL && __atomic_load_n(queue->held, __ATOMIC_ACQUIRE) != 0;
}

/* The next of the queue; SIZE_MAX at its end, after the deadline, or while the rest is held back. */
static size_t draw(struct ocigc_verify_queue *queue)
{
    if (ocigc_is_past(queue->deadline)) {
        __atomic_store_n(&queue->late, true, __ATOMIC_RELAXED);
        return SIZE_MAX;
    }
    size_t drawn = __atomic_load_n(&queue->next, __ATOMIC_RELAXED);
    do {
        if (drawn >= queue->count || (drawn >= queue->ready && is_held(queue)))
            return SIZE_MAX;
    } while (!__atomic_compare_exchange_n(&queue->next, &drawn, drawn + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return drawn;
}

/* Whether this run has found a blob sound already, so that it is not hashed again. With a deadline, only blobs that are
 * begun in time count. */
static bool is_known(struct batch *batch, uint32_t position)
{
    struct ocigc_verify_queue *queue = batch->queue;
    uint32_t node = queue->nodes[position];
    struct ocigc_checksum checksum;
    if (queue->deadline != INT64_MAX || is_held(queue) || !ocigc_graph_is_sound(queue->store->graph, node, &checksum))
        return false;
    if (queue->checksums != NULL)
        queue->checksums[position] = checksum;
    uint64_t size = ocigc_store_size(queue->store, node);
    count_down(queue, size);
    ocigc_progress_add(queue->progress, 0, size);
    set_verdict(batch, position, OCIGC_VERDICT_SOUND);
    return true;
}

static bool is_out_of_files(const struct ocigc_error *error)
{
    return error->os_errno == EMFILE || error->os_errno == ENFILE;
}

/* Tells the threads that read ahead about a blob. They begin when a quarter of the last blobs were not in memory: the
 * kernel may drop a page here and there at any time. Asking for every small blob costs too much. */
static void look_ahead(struct batch *batch, const struct blob *blob)
{
    enum { SMALL = 64 << 10, EACH = 16, COLD = 4 };
    struct ocigc_read_ahead *ahead = &batch->queue->ahead;
    ocigc_read_ahead_follow(ahead, blob->stream.size);
    if (blob->stream.size == 0 || (blob->stream.size < SMALL && blob->position % EACH != 0))
        return;
    bool is_cold = !ocigc_is_in_memory(blob->stream.file, blob->stream.start);
    batch->cold = (uint16_t)(batch->cold << 1 | is_cold);
    if (is_cold && __builtin_popcount(batch->cold) >= COLD)
        ocigc_read_ahead_begin(ahead);
}

/* Starts a blob in the next lane. False if it has to wait until other files are closed. */
static bool start_blob(struct batch *batch, uint32_t position)
{
    struct ocigc_verify_queue *queue = batch->queue;
    struct blob *blob = &batch->blobs[batch->used];
    uint32_t node = queue->nodes[position];
    struct ocigc_error error;
    bool is_open = ocigc_blob_open(queue->store, node, &blob->content, &error);
    if (!is_open && is_out_of_files(&error) && batch->used > 0)
        return false;
    if (!is_open && is_out_of_files(&error) && ocigc_read_ahead_stop(&queue->ahead)) /* they may have had the last */
        is_open = ocigc_blob_open(queue->store, node, &blob->content, &error);
    if (!is_open) {
        count_down(queue, ocigc_store_size(queue->store, node));
        set_verdict(batch, position, error.os_errno == ENOENT ? OCIGC_VERDICT_GONE : OCIGC_VERDICT_UNREADABLE);
        return true;
    }
    batch->used++;
    blob->position = position;
    blob->is_padded = false;
    blob->lane.blocks = 0;
    ocigc_stream_start(&blob->stream, blob->content.file, ocigc_blob_start(&blob->content),
                       (uint64_t)blob->content.status.st_size);
    look_ahead(batch, blob);
    ocigc_state_start(queue->algorithm, &blob->lane.state);
    if (queue->checksums != NULL)
        ocigc_xxh3_start(&blob->checksum);
    if (!ocigc_blob_unchanged(queue->store, node, &blob->content.status))
        finish(batch, batch->used - 1, OCIGC_VERDICT_CHANGED);
    return true;
}

/* How many lanes to use: towards the end, the threads share what is left of the queue. */
static uint32_t lanes_wanted(const struct batch *batch)
{
    const struct ocigc_verify_queue *queue = batch->queue;
    size_t next = __atomic_load_n(&queue->next, __ATOMIC_RELAXED);
    size_t left = next < queue->count ? queue->count - next : 0;
    size_t share = (left + batch->used + queue->threads - 1) / queue->threads;
    uint32_t most = batch->kernels.many->lanes, least = batch->kernels.few->lanes;
    return share >= most ? most : share > least ? (uint32_t)share : least;
}

static void start_blobs(struct batch *batch)
{
    while (batch->used < lanes_wanted(batch)) {
        size_t drawn = batch->waiting != SIZE_MAX ? batch->waiting : draw(batch->queue);
        batch->waiting = SIZE_MAX;
        if (drawn == SIZE_MAX)
            return;
        uint32_t position = batch->queue->order[drawn];
        if (!is_known(batch, position) && !start_blob(batch, position)) {
            batch->waiting = drawn;
            return;
        }
    }
}

static uint64_t bytes_left(const struct blob *blob)
{
    return blob->stream.size - blob->stream.done;
}

static int longer_first(const void *left, const void *right)
{
    uint64_t a = bytes_left(*(const struct blob *const *)left), b = bytes_left(*(const struct blob *const *)right);
    return (a < b) - (a > b);
}

/* The bytes that this thread still has to hash, if all threads end together. */
static uint64_t share_of(const struct batch *batch)
{
    int64_t left = __atomic_load_n(&batch->queue->left, __ATOMIC_RELAXED) / (int64_t)batch->queue->threads;
    uint64_t own = 0;
    for (uint32_t i = 0; i < batch->used; i++)
        own += bytes_left(&batch->blobs[i]);
    return left > 0 && (uint64_t)left > own ? (uint64_t)left : own;
}

/* Chooses the lanes to advance: usually all of them. But if the longest, as one of that many lanes, would take longer
 * than all that is left, only as many as a narrower kernel has. */
static uint32_t choose(struct batch *batch, struct ocigc_lane **active)
{
    struct blob *blobs[OCIGC_LANES_MAX];
    uint32_t count = batch->used, few = batch->kernels.few->lanes, single = batch->kernels.single->lanes;
    for (uint32_t i = 0; i < count; i++)
        blobs[i] = &batch->blobs[i];
    if (count > single) {
        uint64_t share = share_of(batch);
        qsort(blobs, count, sizeof *blobs, longer_first);
        if (count > few && bytes_left(blobs[0]) > share / count)
            count = few;
        if (count > single && bytes_left(blobs[0]) > share / few)
            count = single;
    }
    for (uint32_t i = 0; i < count; i++)
        active[i] = &blobs[i]->lane;
    return count;
}

/* Whether no thread will take another blob. */
static bool is_drawn_out(const struct ocigc_verify_queue *queue)
{
    return __atomic_load_n(&queue->late, __ATOMIC_RELAXED) ||
           __atomic_load_n(&queue->next, __ATOMIC_RELAXED) >= queue->count;
}

/* Lets the caller, who holds the rest of the queue back, go on for a moment. */
static void pause_briefly(void)
{
    const struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
}

static void run(struct batch *batch)
{
    for (;;) {
        start_blobs(batch);
        refill(batch);
        bool is_done = batch->used == 0 && batch->waiting == SIZE_MAX && is_drawn_out(batch->queue);
        if (is_done || ocigc_cancelled(batch->queue->progress))
            return;
        struct ocigc_lane *active[OCIGC_LANES_MAX];
        uint32_t count = choose(batch, active);
        if (count > 0)
            ocigc_lanes_advance(&batch->kernels, active, count);
        else if (is_held(batch->queue))
            pause_briefly();
    }
}

/* The thread has touched a mapped page that cannot be read. */
static void drop_lost(struct batch *batch)
{
    const uint8_t *address = (const uint8_t *)ocigc_guard.address;
    for (uint32_t i = 0; i < batch->used; i++) {
        const struct ocigc_stream *stream = &batch->blobs[i].stream;
        if (!ocigc_window_has(&stream->window, address))
            continue;
        char byte;
        off_t offset = (off_t)(stream->window.offset + (uint64_t)(address - stream->window.bytes));
        bool is_unreadable = pread(stream->file, &byte, 1, offset) < 0;
        finish(batch, i, is_unreadable ? OCIGC_VERDICT_UNREADABLE : OCIGC_VERDICT_CHANGED);
        return;
    }
    ocigc_guard.is_armed = 0; /* it is not ours: the earlier handler decides */
    raise(SIGBUS);
}

static struct batch *new_batch(struct ocigc_verify_queue *queue)
{
    enum { TAIL = OCIGC_BLOCK_MAX + OCIGC_PADDING_MAX };
    struct batch *batch = calloc(1, sizeof *batch + (size_t)OCIGC_LANES_MAX * (OCIGC_PIECE + TAIL));
    if (batch == NULL)
        return NULL;
    batch->queue = queue;
    batch->kernels = ocigc_kernels_of(queue->algorithm, NULL);
    batch->waiting = SIZE_MAX;
    for (uint32_t i = 0; i < OCIGC_LANES_MAX; i++) {
        batch->blobs[i].stream.windows = &batch->windows;
        batch->blobs[i].stream.buffer = (uint8_t *)(batch + 1) + (size_t)i * (OCIGC_PIECE + TAIL);
        batch->blobs[i].tail = batch->blobs[i].stream.buffer + OCIGC_PIECE;
    }
    return batch;
}

void ocigc_verify_lanes(void *queue)
{
    struct batch *batch = new_batch(queue);
    if (batch == NULL)
        return; /* the other threads draw its share */
    if (sigsetjmp(ocigc_guard.resume, 1) != 0)
        drop_lost(batch);
    ocigc_guard.is_armed = 1;
    run(batch);
    ocigc_guard.is_armed = 0;
    while (batch->used > 0)
        drop(batch, 0);
    ocigc_windows_free(&batch->windows);
    free(batch);
}
