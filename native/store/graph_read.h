/* graph_read.h - reads one node's content and finds its edges, for one thread of an expansion. */
#ifndef OCIGC_STORE_GRAPH_READ_H
#define OCIGC_STORE_GRAPH_READ_H

#include "store/graph.h"
#include "store/opened.h"
#include "store/read.h"

/* Where the last edge leads. It is looked up when the next descriptor has been read, to hide the wait for memory. */
struct ocigc_lookup {
    bool is_open;
    struct ocigc_digest digest;
    char text[OCIGC_DIGEST_TEXT_MAX];
    uint32_t length;
    int64_t size; /* as the descriptor says; -1: it does not */
    int32_t role;
    int32_t media;
    bool is_foreign;
    const char *bytes; /* of the document */
    struct ocigc_span data;
};

/* What a thread has found, and not handed over to the graph yet. */
struct ocigc_reader {
    ocigc_store *store;
    struct ocigc_progress *progress;
    struct ocigc_opened opened; /* what is read next */
    struct ocigc_buffer buffer;
    uint32_t node; /* that is read */
    struct ocigc_lookup lookup;
    int32_t code;                            /* why the document could not be read to its end, if not for its form */
    char corrupt[OCIGC_DIGEST_TEXT_MAX + 1]; /* the digest whose `data` is corrupt */
    uint32_t *targets;
    uint8_t *kinds;
    uint32_t edge_count, target_capacity, kind_capacity;
    uint32_t *queue; /* nodes with new claims */
    uint32_t queue_count, queue_capacity;
    struct ocigc_missing *missing;
    uint32_t missing_count, missing_capacity;
    char *missing_text;
    uint32_t missing_text_length, missing_text_capacity;
    uint32_t *wrong_sizes;
    uint32_t wrong_size_count, wrong_size_capacity;
};

void ocigc_reader_free(struct ocigc_reader *reader);

/* Makes a claim, and queues the node if it needs to be read for it. false: no memory. */
bool ocigc_reader_claim(struct ocigc_reader *reader, uint32_t node, uint32_t claim);
/* Reads a node as its claims say. Appends its edges to the reader's, and claims their targets. */
int32_t ocigc_reader_read(struct ocigc_reader *reader, uint32_t node, uint32_t claims, struct ocigc_error *error);

#endif
