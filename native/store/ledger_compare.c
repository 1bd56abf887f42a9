/* ledger_compare.c - compares blobs with the checksums of a ledger, as fast as they can be read. */
#include "digest/xxh3.h"
#include "store/files.h"
#include "store/ledger.h"
#include "store/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (256u << 10) /* fits into a core's own cache */

struct comparison {
    const ocigc_ledger *ledger;
    const uint32_t *nodes;
    size_t count;
    size_t next; /* shared by the threads, as is `late` */
    bool late;
    int64_t deadline;
    uint8_t *verdicts;
    struct ocigc_progress *progress;
};

/* Computes the checksum of a file; false if it cannot be read to its end, or on a cancel. */
static bool check_file(const struct comparison *comparison, int file, char *buffer, struct ocigc_checksum *checksum)
{
    struct ocigc_xxh3 xxh3;
    ssize_t got;
    ocigc_xxh3_start(&xxh3);
    do {
        got = ocigc_read_up_to(file, buffer, CHUNK);
        if (got < 0 || ocigc_cancelled(comparison->progress))
            return false;
        ocigc_xxh3_update(&xxh3, buffer, (size_t)got);
        ocigc_progress_add(comparison->progress, 0, (uint64_t)got);
    } while (got == CHUNK);
    *checksum = ocigc_xxh3_finish(&xxh3);
    return true;
}

/* If it differs, only the digest can tell what is wrong. */
static uint8_t compare(const struct comparison *comparison, uint32_t node, char *buffer)
{
    struct ocigc_blob blob;
    struct ocigc_error error;
    struct ocigc_checksum checksum;
    if (!ocigc_blob_open(comparison->ledger->store, node, &blob, &error))
        return OCIGC_VERDICT_CORRUPT;
    if (blob.status.st_size > (off_t)CHUNK)
        posix_fadvise(blob.file, 0, 0, POSIX_FADV_SEQUENTIAL);
    bool whole = check_file(comparison, blob.file, buffer, &checksum);
    ocigc_blob_close(&blob);
    if (!whole && ocigc_cancelled(comparison->progress))
        return OCIGC_VERDICT_UNCHECKED;
    const struct ocigc_checksum *known = &comparison->ledger->known[node].checksum;
    return whole && checksum.low == known->low && checksum.high == known->high ? OCIGC_VERDICT_SOUND
                                                                               : OCIGC_VERDICT_CORRUPT;
}

static void compare_thread(void *context)
{
    struct comparison *comparison = context;
    char *buffer = malloc(CHUNK);
    if (buffer == NULL)
        return; /* the other threads draw its share */
    while (!ocigc_cancelled(comparison->progress)) {
        if (ocigc_is_past(comparison->deadline)) {
            __atomic_store_n(&comparison->late, true, __ATOMIC_RELAXED);
            break;
        }
        size_t drawn = __atomic_fetch_add(&comparison->next, 1, __ATOMIC_RELAXED);
        if (drawn >= comparison->count)
            break;
        comparison->verdicts[drawn] = compare(comparison, comparison->nodes[drawn], buffer);
        ocigc_progress_add(comparison->progress, 1, 0);
    }
    free(buffer);
}

int32_t ocigc_ledger_compare(const ocigc_ledger *ledger, const uint32_t *nodes, size_t count, uint32_t threads,
                             int64_t deadline, uint8_t *verdicts, struct ocigc_progress *progress,
                             struct ocigc_error *error)
{
    struct comparison comparison = {
        .ledger = ledger,
        .nodes = nodes,
        .count = count,
        .deadline = deadline,
        .verdicts = verdicts,
        .progress = progress,
    };
    uint64_t bytes = 0;
    memset(verdicts, OCIGC_VERDICT_UNCHECKED, count);
    for (size_t i = 0; i < count; i++)
        bytes += ocigc_store_size(ledger->store, nodes[i]);
    if (progress != NULL) {
        __atomic_store_n(&progress->total_items, count, __ATOMIC_RELAXED);
        __atomic_store_n(&progress->total_bytes, bytes, __ATOMIC_RELAXED);
    }
    ocigc_parallel(ocigc_thread_count(threads), compare_thread, &comparison);
    if (ocigc_cancelled(progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    if (!comparison.late && comparison.next < count)
        return ocigc_fail_memory(error);
    return OCIGC_OK;
}
