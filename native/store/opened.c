#include "store/opened.h"

#include <fcntl.h>

enum { BEGINNING = 256 << 10 }; /* that the kernel reads of a blob; almost every manifest is shorter */

void ocigc_opened_add(struct ocigc_opened *opened, const ocigc_store *store, uint32_t node)
{
    struct ocigc_blob *blob = &opened->blobs[opened->count];
    if (opened->count == OCIGC_OPENED_MOST || store->ahead != NULL || !ocigc_blob_open(store, node, blob, NULL))
        return;
    opened->nodes[opened->count++] = node;
    off_t size = blob->status.st_size < BEGINNING ? blob->status.st_size : BEGINNING;
    if (size > 0 && ocigc_blob_is_kept(blob))
        posix_fadvise(blob->file, (off_t)ocigc_blob_start(blob), size, POSIX_FADV_WILLNEED);
}

bool ocigc_opened_take(struct ocigc_opened *opened, uint32_t node, struct ocigc_blob *blob)
{
    if (opened == NULL || opened->taken == opened->count || opened->nodes[opened->taken] != node)
        return false;
    *blob = opened->blobs[opened->taken++];
    return true;
}

void ocigc_opened_close(struct ocigc_opened *opened)
{
    while (opened->taken < opened->count)
        ocigc_blob_close(&opened->blobs[opened->taken++]);
    opened->count = opened->taken = 0;
}
