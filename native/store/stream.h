/* stream.h - the content of a blob, piece by piece: mapped if mapping is allowed and it is in memory, else read. */
#ifndef OCIGC_STORE_STREAM_H
#define OCIGC_STORE_STREAM_H

#include "store/windows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OCIGC_PIECE = 64 << 10 }; /* the pieces of all lanes of a thread fit into its cache */

struct ocigc_stream {
    int file;
    uint64_t start; /* of the content in the file */
    uint64_t size;
    uint64_t done;   /* bytes passed on */
    uint8_t *buffer; /* OCIGC_PIECE bytes */
    bool is_mapped;
    struct ocigc_windows *windows; /* of this thread */
    struct ocigc_window window;    /* the part that is mapped */
};

/* Starts on `size` bytes of an open file, from `start` on, with the stream's buffer and windows. */
void ocigc_stream_start(struct ocigc_stream *stream, int file, uint64_t start, uint64_t size);
/* The next piece, valid until the next call: its length, 0 at the end, -1 with errno if it cannot be read. A file that
 * has become shorter ends sooner than at `size`, or raises SIGBUS where its piece is touched (see guard.h). */
ssize_t ocigc_stream_next(struct ocigc_stream *stream, const uint8_t **piece);
/* Closes its window. */
void ocigc_stream_end(struct ocigc_stream *stream);

#endif
