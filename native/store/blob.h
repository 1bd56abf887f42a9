/* blob.h - one blob by its node. */
#ifndef OCIGC_STORE_BLOB_H
#define OCIGC_STORE_BLOB_H

#include "base/base.h"

#include <stdbool.h>
#include <sys/stat.h>

int32_t ocigc_store_algorithm(const ocigc_store *store, uint32_t node);
/* Writes "alg:encoded" with its NUL and returns its length. `out` has room for OCIGC_DIGEST_TEXT_MAX + 1 bytes. */
size_t ocigc_store_digest(const ocigc_store *store, uint32_t node, char *out);

/* The binary digest of a node: ocigc_algorithm_width bytes; NULL for OCIGC_ALGORITHM_OTHER. */
const uint8_t *ocigc_blob_digest(const ocigc_store *store, uint32_t node);

struct ocigc_extent;

/* An open blob: the bytes of `file` from ocigc_blob_start on, as many as its status says. Read them by position. */
struct ocigc_blob {
    int file;
    const struct ocigc_extent *extent; /* where it lies in an archive; NULL for a file of its own */
    struct stat status;                /* when it was opened */
};

/* Opens the blob of a node for reading (openat below blobs/<alg>, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) and
 * checks that it is a regular file. false with `error` filled: OCIGC_SYSTEM with os_errno ENOENT if it is gone,
 * OCIGC_UNEXPECTED_FILE if it is not a regular file. Any thread may call it. */
bool ocigc_blob_open(const ocigc_store *store, uint32_t node, struct ocigc_blob *blob, struct ocigc_error *error);
void ocigc_blob_close(struct ocigc_blob *blob);
uint64_t ocigc_blob_start(const struct ocigc_blob *blob);
/* Whether its content is there: all but that of an archive that came as a stream. */
bool ocigc_blob_is_kept(const struct ocigc_blob *blob);
/* Its status now. false with errno set. */
bool ocigc_blob_status(const struct ocigc_blob *blob, struct stat *status);
/* The status of what has the name of a node now: 0, or an errno. */
int ocigc_blob_stat(const ocigc_store *store, uint32_t node, struct stat *status);

/* Whether `status` still shows the file of which ocigc_store_stat asked: its size and the newer of mtime and ctime. */
int ocigc_blob_unchanged(const ocigc_store *store, uint32_t node, const struct stat *status);
/* Whether the file was touched between the beginning of the scan and ocigc_store_stat. */
bool ocigc_blob_was_touched(const ocigc_store *store, uint32_t node);

#endif
