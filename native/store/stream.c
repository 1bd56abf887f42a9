#include "store/stream.h"

#include "store/files.h"
#include "store/guard.h"

#include <errno.h>
#include <fcntl.h>

enum { WORTH_A_MAP = 256 << 10 }; /* bytes of a blob; mapping a smaller one takes longer than reading it */

void ocigc_stream_start(struct ocigc_stream *stream, int file, uint64_t start, uint64_t size)
{
    *stream = (struct ocigc_stream){
        .file = file, .start = start, .size = size, .buffer = stream->buffer, .windows = stream->windows};
    stream->is_mapped = size >= WORTH_A_MAP && ocigc_maps_blobs();
    if (size > OCIGC_PIECE)
        posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void ocigc_stream_end(struct ocigc_stream *stream)
{
    ocigc_window_close(stream->windows, &stream->window);
}

/* Maps the window at the stream's position, if it is in memory: otherwise, to read it is as fast as the disk. */
static bool map_window(struct ocigc_stream *stream)
{
    uint64_t left = stream->size - stream->done, position = stream->start + stream->done;
    ocigc_stream_end(stream);
    return ocigc_is_in_memory(stream->file, position) &&
           ocigc_window_open(stream->windows, stream->file, position,
                             left < OCIGC_WINDOW_MAX ? (size_t)left : OCIGC_WINDOW_MAX, &stream->window);
}

ssize_t ocigc_stream_next(struct ocigc_stream *stream, const uint8_t **piece)
{
    uint64_t left = stream->size - stream->done;
    size_t wanted = left < OCIGC_PIECE ? (size_t)left : OCIGC_PIECE;
    if (wanted == 0)
        return 0;
    if (stream->is_mapped && stream->done % OCIGC_WINDOW_MAX == 0 && !map_window(stream))
        stream->is_mapped = false;
    if (stream->is_mapped) {
        *piece = stream->window.bytes + (stream->start + stream->done - stream->window.offset);
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
