/* disk_order.h - reading many small blobs that are not in memory. */
#ifndef OCIGC_STORE_DISK_ORDER_H
#define OCIGC_STORE_DISK_ORDER_H

#include "store/store.h"

enum { OCIGC_COLD_THREADS = 32 }; /* that wait for the disk at a time */

/* The order in which to read the blobs of `count` ascending nodes: positions in `nodes` by inode, so that each block of
 * inodes is read once, and most blocks of content one after the other. NULL if they are few, if a sample of them is in
 * memory, or if the inodes cannot be read: then any order is as good. The caller frees it. The store keeps the order of
 * all nodes by inode, 4 bytes per node, for the next call. */
uint32_t *ocigc_disk_order(ocigc_store *store, const uint32_t *nodes, uint32_t count);

/* How many blobs one of these threads may have open at a time. Together they use half of this process's descriptors. */
uint32_t ocigc_cold_share(void);

#endif
