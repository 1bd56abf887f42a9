/* archive.h - a store whose blobs are members of one file. */
#ifndef OCIGC_STORE_ARCHIVE_H
#define OCIGC_STORE_ARCHIVE_H

#include "base/base.h"

#include <stdbool.h>
#include <sys/stat.h>

#define OCIGC_NOT_KEPT UINT64_MAX

/* Where the content of a member is. */
struct ocigc_extent {
    uint64_t start; /* OCIGC_NOT_KEPT: it was hashed as it was read, and is gone */
    uint64_t size;
    int64_t modified; /* its mtime */
    uint32_t links;   /* names that it has in the archive */
};

/* The label file of a node. */
struct ocigc_label_extent {
    uint32_t node;
    uint32_t size;
    uint64_t start;
};

struct ocigc_archive {
    int file;
    struct ocigc_extent *blobs;        /* by node */
    struct ocigc_label_extent *labels; /* by node */
    uint32_t label_count;
};

void ocigc_archive_free(struct ocigc_archive *archive);
/* A descriptor with a read-ahead of its own; -1 with errno set. */
int ocigc_archive_open(const struct ocigc_archive *archive);
/* Where the blob of a node lies; NULL if there is no archive. */
static inline const struct ocigc_extent *ocigc_archive_extent(const struct ocigc_archive *archive, uint32_t node)
{
    return archive != NULL ? &archive->blobs[node] : NULL;
}
/* Makes the status of a member from that of the archive. The ctime stays, so a change of the archive counts as a change
 * of each member. */
void ocigc_extent_status(const struct ocigc_extent *extent, struct stat *status);
/* The status of a member now: 0, or an errno. */
int ocigc_archive_stat(const struct ocigc_archive *archive, const struct ocigc_extent *extent, struct stat *status);

#endif
