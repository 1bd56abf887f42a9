/* trash_way.c - moves single files into the trash, by a rename or by a hard link, and makes that durable. */
#include "store/files.h"
#include "store/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int open_trash(int trash, const char *top, const char *algorithm)
{
    int parent = ocigc_make_directory(trash, top);
    return parent < 0 ? -1 : ocigc_close_after(parent, ocigc_make_directory(parent, algorithm));
}

static int open_labels(int layout, const char *algorithm)
{
    int labels = ocigc_open_directory(layout, "labels");
    return labels < 0 ? -1 : ocigc_close_after(labels, ocigc_open_directory(labels, algorithm));
}

int32_t ocigc_way_open(const ocigc_store *store, const struct ocigc_digest_table *table, int trash,
                       struct ocigc_way *way, struct ocigc_error *error)
{
    way->blobs = table->directory;
    way->blob_trash = open_trash(trash, "blobs", table->name);
    if (way->blob_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make blobs/%s in the trash", table->name);
    way->labels = open_labels(store->layout, table->name);
    if (way->labels < 0)
        return errno == ENOENT ? OCIGC_OK : ocigc_fail_system(error, errno, "cannot open labels/%s", table->name);
    way->label_trash = open_trash(trash, "labels", table->name);
    if (way->label_trash < 0)
        return ocigc_fail_system(error, errno, "cannot make labels/%s in the trash", table->name);
    return OCIGC_OK;
}

void ocigc_way_close(const struct ocigc_way *way)
{
    if (way->blob_trash >= 0)
        close(way->blob_trash);
    if (way->labels >= 0)
        close(way->labels);
    if (way->label_trash >= 0)
        close(way->label_trash);
}

int ocigc_move_into_trash(int from, const char *name, int to)
{
    unsigned int flags = RENAME_NOREPLACE;
    while (renameat2(from, name, to, name, flags) != 0) {
        if (errno == EEXIST) {
            /* If both are links of one inode, renaming over it would do nothing and report success. */
            int cause = ocigc_unlink(to, name, 0);
            if (cause != 0 && cause != ENOENT)
                return cause;
        } else if (flags != 0 && (errno == EINVAL || errno == ENOSYS)) {
            flags = 0; /* this file system has no RENAME_NOREPLACE */
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int ocigc_link_into_trash(int from, const char *name, int to)
{
    while (linkat(from, name, to, name, 0) != 0) {
        if (errno == EEXIST) {
            int cause = ocigc_unlink(to, name, 0);
            if (cause != 0 && cause != ENOENT)
                return cause;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

bool ocigc_cannot_link(int cause)
{
    return cause == EPERM || cause == EOPNOTSUPP || cause == ENOSYS || cause == EMLINK || cause == EINVAL;
}

static int sync_fully(int file)
{
    while (fsync(file) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

int ocigc_sync_trash(const struct ocigc_sweep *sweep, bool labels)
{
    int cause = 0;
    for (uint32_t i = 0; i < sweep->store->table_count && cause == 0; i++) {
        int directory = labels ? sweep->ways[i].label_trash : sweep->ways[i].blob_trash;
        if (directory >= 0)
            cause = sync_fully(directory);
    }
    int parent = cause == 0 ? ocigc_open_directory(sweep->trash, labels ? "labels" : "blobs") : -1;
    if (cause == 0 && parent < 0)
        return errno == ENOENT ? 0 : errno;
    if (cause == 0)
        cause = sync_fully(parent);
    if (parent >= 0)
        close(parent);
    return cause == 0 ? sync_fully(sweep->trash) : cause;
}
