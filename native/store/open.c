/* open.c - where the content of a blob lies: in a file of its own below blobs/, in a directory of shared blobs, or in
 * an archive. */
#include "store/archive.h"
#include "store/files.h"
#include "store/store.h"

#include <errno.h>
#include <unistd.h>

static int open_own(const ocigc_store *store, struct ocigc_place place, const char *encoded)
{
    if (place.table->directory >= 0)
        return ocigc_open_file(place.table->directory, encoded);
    int directory = ocigc_open_directory(store->blobs, place.table->name);
    return directory < 0 ? -1 : ocigc_close_after(directory, ocigc_open_file(directory, encoded));
}

static int open_file(const ocigc_store *store, struct ocigc_place place, const char *encoded)
{
    int file = open_own(store, place, encoded);
    bool shared = file < 0 && (errno == ENOENT || store->blobs < 0) && place.table->shared >= 0;
    return shared ? ocigc_open_file(place.table->shared, encoded) : file;
}

static bool open_place(const ocigc_store *store, uint32_t node, struct ocigc_place place, const char *encoded,
                       struct ocigc_blob *blob)
{
    *blob = (struct ocigc_blob){.extent = ocigc_archive_extent(store->archive, node)};
    blob->file = blob->extent != NULL ? ocigc_archive_open(store->archive) : open_file(store, place, encoded);
    return blob->file >= 0;
}

bool ocigc_blob_open(const ocigc_store *store, uint32_t node, struct ocigc_blob *blob, struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_table_encoded(place.table, place.position, encoded);
    if (!open_place(store, node, place, encoded, blob)) {
        if (errno == ELOOP || errno == ENXIO) /* a symlink; a socket, or a device that is not there */
            ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "blobs/%s/%s is not a regular file", place.table->name, encoded);
        else
            ocigc_fail_system(error, errno, "cannot open %s:%s", place.table->name, encoded);
        return false;
    }
    if (!ocigc_blob_status(blob, &blob->status)) {
        ocigc_fail_system(error, errno, "cannot read the status of %s:%s", place.table->name, encoded);
    } else if (!S_ISREG(blob->status.st_mode)) {
        ocigc_fail(error, OCIGC_UNEXPECTED_FILE, "blobs/%s/%s is %s", place.table->name, encoded,
                   ocigc_kind(blob->status.st_mode));
    } else {
        return true;
    }
    ocigc_blob_close(blob);
    return false;
}

void ocigc_blob_close(struct ocigc_blob *blob)
{
    close(blob->file);
}

bool ocigc_blob_is_kept(const struct ocigc_blob *blob)
{
    return blob->extent == NULL || blob->extent->start != OCIGC_NOT_KEPT;
}

uint64_t ocigc_blob_start(const struct ocigc_blob *blob)
{
    return blob->extent != NULL ? blob->extent->start : 0;
}

bool ocigc_blob_status(const struct ocigc_blob *blob, struct stat *status)
{
    if (fstat(blob->file, status) != 0)
        return false;
    if (blob->extent != NULL)
        ocigc_extent_status(blob->extent, status);
    return true;
}

static int stat_own(const ocigc_store *store, struct ocigc_place place, const char *encoded, struct stat *status)
{
    if (place.table->directory >= 0)
        return ocigc_stat(place.table->directory, encoded, status);
    int directory = ocigc_open_directory(store->blobs, place.table->name);
    if (directory < 0)
        return errno;
    int cause = ocigc_stat(directory, encoded, status);
    close(directory);
    return cause;
}

int ocigc_blob_stat(const ocigc_store *store, uint32_t node, struct stat *status)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    const struct ocigc_extent *extent = ocigc_archive_extent(store->archive, node);
    if (extent != NULL)
        return ocigc_archive_stat(store->archive, extent, status);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_table_encoded(place.table, place.position, encoded);
    int cause = stat_own(store, place, encoded, status);
    bool shared = (cause == ENOENT || store->blobs < 0) && place.table->shared >= 0;
    return shared ? ocigc_stat(place.table->shared, encoded, status) : cause;
}
