/* scan_directory.h - lists one directory below blobs/ into a table. */
#ifndef OCIGC_STORE_SCAN_DIRECTORY_H
#define OCIGC_STORE_SCAN_DIRECTORY_H

#include "store/store.h"

#include <dirent.h>

/* Blobs that may lie elsewhere. */
struct ocigc_elsewhere {
    int directory;      /* -1: nowhere */
    const char *wanted; /* digests, each with a newline after it */
    size_t length;
};

/* The type of a file; 0 if it is gone. Returns 0, or an errno. */
int32_t ocigc_entry_mode(int directory, const struct dirent64 *entry, mode_t *mode);

/* Lists blobs/<alg> and, if blobs may lie elsewhere, those that are wanted there; then blobs/<alg> may be absent. Sorts
 * the table. */
int32_t ocigc_scan_directory(ocigc_store *store, struct ocigc_digest_table *table,
                             const struct ocigc_elsewhere *elsewhere, uint32_t threads, struct ocigc_progress *progress,
                             struct ocigc_error *error);

#endif
