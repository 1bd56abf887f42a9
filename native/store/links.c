/* links.c - what deleting blobs frees where inodes have several names. */
#include "store/store.h"

#include <stdlib.h>

static int by_inode(const void *left, const void *right)
{
    const struct ocigc_link *a = *(const struct ocigc_link *const *)left;
    const struct ocigc_link *b = *(const struct ocigc_link *const *)right;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

/* Of names of inodes: the bytes of those inodes that have no further name. */
static uint64_t freed_by_names(const struct ocigc_link **names, size_t count)
{
    uint64_t freed = 0;
    qsort(names, count, sizeof *names, by_inode);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && by_inode(&names[start], &names[end]) == 0;)
            end++;
        if (end - start >= names[start]->names)
            freed += names[start]->size;
    }
    return freed;
}

const struct ocigc_link *ocigc_store_link(const ocigc_store *store, uint32_t node)
{
    uint64_t size = ocigc_facts_of(store, node).size;
    const struct ocigc_link *link = size & OCIGC_LINKED ? &store->links[size & OCIGC_SIZE_MASK] : NULL;
    return link != NULL && link->names > 1 ? link : NULL;
}

uint64_t ocigc_store_freed(const ocigc_store *store, const uint32_t *nodes, size_t count)
{
    uint64_t freed = 0;
    size_t linked = 0;
    for (size_t i = 0; i < count; i++) {
        if (ocigc_store_link(store, nodes[i]) != NULL)
            linked++;
        else
            freed += ocigc_store_size(store, nodes[i]);
    }
    if (linked == 0)
        return freed;
    const struct ocigc_link **names = malloc(linked * sizeof *names);
    if (names == NULL)
        return freed; /* a promise of less than there will be */
    linked = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ocigc_link *link = ocigc_store_link(store, nodes[i]);
        if (link != NULL)
            names[linked++] = link;
    }
    freed += freed_by_names(names, linked);
    free(names);
    return freed;
}

size_t ocigc_store_linked(const ocigc_store *store, const uint32_t *nodes, size_t count, struct ocigc_name *out,
                          size_t capacity)
{
    size_t linked = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ocigc_link *link = ocigc_store_link(store, nodes[i]);
        if (link == NULL)
            continue;
        if (linked < capacity)
            out[linked] = (struct ocigc_name){
                .device = link->device,
                .inode = link->inode,
                .names = link->names,
                .size = link->size,
                .stamp = ocigc_store_stamp(store, nodes[i]),
                .modified = link->modified,
            };
        linked++;
    }
    return linked;
}
