/* table.h - what the parts of the store share: how to reach one blob by its node. */
#ifndef OCIGC_STORE_TABLE_H
#define OCIGC_STORE_TABLE_H

#include "common/common.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Opens the blob of a node for reading (openat below blobs/<alg>, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
 * checks by fstat that it is a plain file, and fills `status`. Returns the descriptor, or -1 with `error` filled:
 * OCIGC_SYSTEM with os_errno ENOENT where it is gone, OCIGC_LAYOUT where it is no plain file. Any thread may call. */
int ocigc_blob_open(const ocigc_store *store, uint32_t node, struct stat *status, struct ocigc_error *error);

/* Whether `status` still shows the file that the survey saw: size and newest of mtime and ctime. */
int ocigc_blob_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status);
/* Whether the survey saw a file that had been touched since the scan began. */
bool ocigc_blob_moved(const ocigc_store *store, uint32_t node);

/* The binary digest of a node: ocigc_algorithm_width bytes; NULL for OCIGC_ALGORITHM_OTHER. */
const uint8_t *ocigc_blob_digest(const ocigc_store *store, uint32_t node);

#endif
