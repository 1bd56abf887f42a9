/* hard_links.c - the bytes that deleting blobs frees if files have several links. */
#include "store/store.h"

#include <stdlib.h>

static int by_inode(const void *left, const void *right)
{
    const struct ocigc_inode *a = *(const struct ocigc_inode *const *)left;
    const struct ocigc_inode *b = *(const struct ocigc_inode *const *)right;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

/* Adds the links: each inode is on the disk once, and is freed if every link of it is listed. */
static void add_links(const struct ocigc_inode **links, size_t count, struct ocigc_file_bytes *bytes)
{
    qsort(links, count, sizeof *links, by_inode);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && by_inode(&links[start], &links[end]) == 0;)
            end++;
        uint64_t size = links[start]->size;
        bytes->disk += size;
        bytes->freed += end - start >= links[start]->links ? size : 0;
    }
}

const struct ocigc_inode *ocigc_store_shared_inode(const ocigc_store *store, uint32_t node)
{
    uint64_t size = ocigc_status_of(store, node).size;
    const struct ocigc_inode *inode = size & OCIGC_STATUS_INODE ? &store->inodes[size & OCIGC_SIZE_MASK] : NULL;
    return inode != NULL && inode->links > 1 ? inode : NULL;
}

int32_t ocigc_store_file_bytes(const ocigc_store *store, const uint32_t *nodes, size_t count,
                               struct ocigc_file_bytes *bytes, struct ocigc_error *error)
{
    struct ocigc_file_bytes found = {0};
    size_t linked = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ocigc_inode *inode = ocigc_store_shared_inode(store, nodes[i]);
        uint64_t size = inode != NULL ? inode->size : ocigc_store_size(store, nodes[i]);
        found.size += size;
        found.alone += inode == NULL ? size : 0;
        linked += inode != NULL;
    }
    found.disk = found.freed = found.alone;
    if (linked > 0) {
        const struct ocigc_inode **links = malloc(linked * sizeof *links);
        if (links == NULL)
            return ocigc_fail_memory(error);
        linked = 0;
        for (size_t i = 0; i < count; i++) {
            const struct ocigc_inode *inode = ocigc_store_shared_inode(store, nodes[i]);
            if (inode != NULL)
                links[linked++] = inode;
        }
        add_links(links, linked, &found);
        free(links);
    }
    *bytes = found;
    return OCIGC_OK;
}

int32_t ocigc_store_freed(const ocigc_store *store, const uint32_t *nodes, size_t count, uint64_t *bytes,
                          struct ocigc_error *error)
{
    struct ocigc_file_bytes found = {0};
    int32_t code = ocigc_store_file_bytes(store, nodes, count, &found, error);
    *bytes = found.freed;
    return code;
}

int32_t ocigc_store_freed_each(const ocigc_store *store, const uint32_t *nodes, const uint32_t *ends, size_t groups,
                               uint64_t *bytes, struct ocigc_error *error)
{
    int32_t code = OCIGC_OK;
    for (size_t i = 0, start = 0; code == OCIGC_OK && i < groups; start = ends[i++])
        code = ocigc_store_freed(store, nodes + start, ends[i] - start, &bytes[i], error);
    return code;
}

size_t ocigc_store_hard_links(const ocigc_store *store, const uint32_t *nodes, size_t count,
                              struct ocigc_hard_link *out, size_t capacity)
{
    size_t linked = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ocigc_inode *inode = ocigc_store_shared_inode(store, nodes[i]);
        if (inode == NULL)
            continue;
        if (linked < capacity)
            out[linked] = (struct ocigc_hard_link){
                .device = inode->device,
                .inode = inode->inode,
                .links = inode->links,
                .size = inode->size,
                .stamp = ocigc_store_stamp(store, nodes[i]),
                .modified = inode->modified,
            };
        linked++;
    }
    return linked;
}
