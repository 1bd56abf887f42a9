#include "store/read_ahead.h"

#include "store/blob.h"
#include "store/files.h"

#include <stdlib.h>

enum {
    ENOUGH = 32, /* blobs in a row that are in memory */
    BUFFER = 256 << 10,
};

static uint64_t part_of(uint64_t size)
{
    return size < OCIGC_AHEAD_OF_ONE ? size : OCIGC_AHEAD_OF_ONE;
}

/* Reads the beginning of a blob. (POSIX_FADV_WILLNEED would do it too, but a page at a time: Linux then keeps no large
 * folios, and mapping the blob takes twice as long.) Returns whether it was in memory already. Errors are found again
 * by the thread that hashes the blob. */
static bool read_blob(const struct ocigc_read_ahead *ahead, uint32_t node, char *buffer)
{
    struct ocigc_blob blob;
    if (!ocigc_blob_open(ahead->store, node, &blob, NULL))
        return false;
    uint64_t size = (uint64_t)blob.status.st_size, start = ocigc_blob_start(&blob);
    bool is_there = size == 0 || ocigc_is_in_memory(blob.file, start);
    for (uint64_t done = 0, wanted = is_there ? 0 : part_of(size); done < wanted; done += BUFFER)
        if (ocigc_read_at(blob.file, start + done, buffer, wanted - done < BUFFER ? wanted - done : BUFFER) <= 0)
            break;
    ocigc_blob_close(&blob);
    return is_there;
}

static bool has_work(const struct ocigc_read_ahead *ahead)
{
    return ahead->is_cold && ahead->drawn < ahead->begun + OCIGC_AHEAD;
}

/* Moves to the position of the queue, if that is further. false at the end of the queue. */
static bool catch_up(struct ocigc_read_ahead *ahead)
{
    size_t next = __atomic_load_n(ahead->next, __ATOMIC_RELAXED);
    if (ahead->place < next) {
        ahead->place = next;
        ahead->drawn = ahead->begun;
    }
    return ahead->place < ahead->count;
}

static void *go_ahead(void *argument)
{
    struct ocigc_read_ahead *ahead = argument;
    char *buffer = malloc(BUFFER);
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->is_over && buffer != NULL) {
        if (!has_work(ahead)) {
            pthread_cond_wait(&ahead->changed, &ahead->lock);
            continue;
        }
        if (!catch_up(ahead))
            break;
        uint32_t node = ahead->nodes[ahead->order[ahead->place++]];
        ahead->drawn += part_of(ocigc_store_size(ahead->store, node));
        ahead->reading++;
        pthread_mutex_unlock(&ahead->lock);
        bool is_there = read_blob(ahead, node, buffer);
        pthread_mutex_lock(&ahead->lock);
        ahead->reading--;
        if (ahead->is_over)
            pthread_cond_broadcast(&ahead->changed);
        ahead->in_a_row = is_there ? ahead->in_a_row + 1 : 0;
        if (ahead->in_a_row >= ENOUGH)
            ahead->is_cold = false;
    }
    pthread_mutex_unlock(&ahead->lock);
    free(buffer);
    return NULL;
}

void ocigc_read_ahead_init(struct ocigc_read_ahead *ahead, const ocigc_store *store, const uint32_t *nodes,
                           const uint32_t *order, size_t count, const size_t *next)
{
    *ahead = (struct ocigc_read_ahead){.store = store, .nodes = nodes, .order = order, .count = count, .next = next};
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
}

void ocigc_read_ahead_begin(struct ocigc_read_ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->in_a_row = 0;
    if (!ahead->is_cold && !ahead->is_over) {
        ahead->is_cold = true;
        while (ahead->started < OCIGC_AHEAD_THREADS &&
               pthread_create(&ahead->threads[ahead->started], NULL, go_ahead, ahead) == 0)
            __atomic_store_n(&ahead->started, ahead->started + 1, __ATOMIC_RELAXED);
        pthread_cond_broadcast(&ahead->changed);
    }
    pthread_mutex_unlock(&ahead->lock);
}

void ocigc_read_ahead_follow(struct ocigc_read_ahead *ahead, uint64_t size)
{
    if (__atomic_load_n(&ahead->started, __ATOMIC_RELAXED) == 0)
        return;
    pthread_mutex_lock(&ahead->lock);
    bool had_work = has_work(ahead);
    ahead->begun += part_of(size);
    if (!had_work && has_work(ahead))
        pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

bool ocigc_read_ahead_stop(struct ocigc_read_ahead *ahead)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->is_over = true;
    pthread_cond_broadcast(&ahead->changed);
    while (ahead->reading > 0)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    bool was_started = ahead->started > 0;
    pthread_mutex_unlock(&ahead->lock);
    return was_started;
}

void ocigc_read_ahead_free(struct ocigc_read_ahead *ahead)
{
    ocigc_read_ahead_stop(ahead);
    for (uint32_t i = 0; i < ahead->started; i++)
        pthread_join(ahead->threads[i], NULL);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
}
