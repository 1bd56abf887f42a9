#include "store/stream.h"

#include "store/files.h"
#include "store/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

enum {
    WINDOW = 4 << 20,        /* mapped at a time */
    WORTH_A_MAP = 256 << 10, /* bytes of a blob; mapping a smaller one takes longer than reading it */
    PAGE = 64 << 10,         /* the largest page of any machine */
};

void ocigc_stream_start(struct ocigc_stream *stream, int file, uint64_t start, uint64_t size)
{
    uint8_t *buffer = stream->buffer;
    *stream = (struct ocigc_stream){.file = file, .start = start, .size = size, .buffer = buffer};
    stream->is_mapped = size >= WORTH_A_MAP && ocigc_maps_blobs();
    if (size > OCIGC_PIECE)
        posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void ocigc_stream_end(struct ocigc_stream *stream)
{
    if (stream->window != NULL)
        munmap(stream->window, stream->window_length);
    stream->window = NULL;
}

bool ocigc_stream_maps(const struct ocigc_stream *stream, const void *address)
{
    const uint8_t *at = address;
    return stream->window != NULL && at >= stream->window && at < stream->window + stream->window_length;
}

/* Maps the window at the stream's position. */
static bool map_window(struct ocigc_stream *stream)
{
    uint64_t left = stream->size - stream->done, position = stream->start + stream->done;
    ocigc_stream_end(stream);
    if (!ocigc_is_in_memory(stream->file, position))
        return false; /* to read it is as fast as the disk */
    uint64_t before = position % PAGE;
    stream->window_start = position - before;
    stream->window_length = (size_t)(before + (left < WINDOW ? left : WINDOW));
    void *window = mmap(NULL, stream->window_length, PROT_READ, MAP_SHARED, stream->file, (off_t)stream->window_start);
    if (window == MAP_FAILED)
        return false;
    stream->window = window;
    return true;
}

ssize_t ocigc_stream_next(struct ocigc_stream *stream, const uint8_t **piece)
{
    uint64_t left = stream->size - stream->done;
    size_t wanted = left < OCIGC_PIECE ? (size_t)left : OCIGC_PIECE;
    if (wanted == 0)
        return 0;
    if (stream->is_mapped && stream->done % WINDOW == 0 && !map_window(stream))
        stream->is_mapped = false;
    if (stream->is_mapped) {
        *piece = stream->window + (stream->start + stream->done - stream->window_start);
        stream->done += wanted;
        return (ssize_t)wanted;
    }
    ssize_t got;
    do
        got = pread(stream->file, stream->buffer, wanted, (off_t)(stream->start + stream->done));
    while (got < 0 && errno == EINTR);
    if (got > 0)
        stream->done += (uint64_t)got;
    *piece = stream->buffer;
    return got;
}
