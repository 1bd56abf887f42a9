/* raw_read.c - reads blobs and does nothing with them: a verification cannot be faster than that. */
#include "base/base.h"
#include "store/blob.h"
#include "store/files.h"
#include "store/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

struct reading {
    const ocigc_store *store;
    const uint32_t *nodes;
    size_t count;
    size_t next; /* these are shared by the threads */
    uint64_t bytes;
    bool forget;
    struct ocigc_progress *progress;
};

static uint64_t read_file(const struct ocigc_blob *blob, char *buffer)
{
    uint64_t done = 0, size = (uint64_t)blob->status.st_size;
    while (done < size) {
        size_t wanted = size - done < BUFFER ? (size_t)(size - done) : BUFFER;
        ssize_t got = pread(blob->file, buffer, wanted, (off_t)(ocigc_blob_start(blob) + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (uint64_t)got;
    }
    return done;
}

static void work_thread(void *context)
{
    struct reading *reading = context;
    char *buffer = malloc(BUFFER);
    while (buffer != NULL && !ocigc_cancelled(reading->progress)) {
        size_t drawn = __atomic_fetch_add(&reading->next, 1, __ATOMIC_RELAXED);
        struct ocigc_blob blob;
        uint64_t bytes = 0;
        if (drawn >= reading->count)
            break;
        if (!ocigc_blob_open(reading->store, reading->nodes[drawn], &blob, NULL))
            continue;
        if (reading->forget)
            posix_fadvise(blob.file, (off_t)ocigc_blob_start(&blob), blob.status.st_size, POSIX_FADV_DONTNEED);
        else
            bytes = read_file(&blob, buffer);
        ocigc_blob_close(&blob);
        __atomic_fetch_add(&reading->bytes, bytes, __ATOMIC_RELAXED);
        ocigc_progress_add(reading->progress, 1, bytes);
    }
    free(buffer);
}

int32_t ocigc_read_blobs(const ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                         int32_t forget, uint64_t *bytes, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct reading reading = {
        .store = store, .nodes = nodes, .count = count, .forget = forget != 0, .progress = progress};
    ocigc_parallel(ocigc_thread_count(threads), work_thread, &reading);
    *bytes = reading.bytes;
    if (ocigc_cancelled(progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    return OCIGC_OK;
}
