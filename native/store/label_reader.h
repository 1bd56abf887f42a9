/* label_reader.h - parses one label file, and adds what it says to the graph. */
#ifndef OCIGC_STORE_LABEL_READER_H
#define OCIGC_STORE_LABEL_READER_H

#include "store/graph.h"

enum { OCIGC_LABEL_FILE_MAX = 1 << 20 }; /* bytes */

/* One thread's memory, and what the file that it reads now says. */
struct ocigc_label_reader {
    ocigc_store *store;
    const char *algorithm;
    char *bytes; /* of the file: OCIGC_LABEL_FILE_MAX */
    char *key;   /* decoded, as is the value */
    char *value;
    uint32_t *targets; /* edges */
    uint8_t *kinds;
    uint32_t edge_count, target_capacity, kind_capacity;
    struct ocigc_label *labels;
    uint32_t label_count, label_capacity;
    char *text; /* of the labels */
    uint32_t text_length, text_capacity;
    struct ocigc_missing *missing;
    uint32_t missing_count, missing_capacity;
    char *missing_text;
    uint32_t missing_text_length, missing_text_capacity;
};

bool ocigc_label_reader_init(struct ocigc_label_reader *reader, ocigc_store *store, const char *algorithm);
void ocigc_label_reader_free(struct ocigc_label_reader *reader);

/* Parses the first `length` bytes: the label file of a node, with this name. Adds its edges, its labels and the absent
 * blobs that it names to the graph, which the lock guards. */
int32_t ocigc_label_reader_read(struct ocigc_label_reader *reader, uint32_t node, const char *name, size_t length,
                                pthread_mutex_t *lock, struct ocigc_error *error);

#endif
