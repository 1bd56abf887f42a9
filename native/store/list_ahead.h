/* list_ahead.h - brings a large directory into memory while somebody lists it. From a cold disk, listing reads one
 * block after the other. ext4 keeps names in the order of their hashes, and accepts any hash as a position. So more
 * threads read from some of these positions on, and throw away what they read. */
#ifndef OCIGC_STORE_LIST_AHEAD_H
#define OCIGC_STORE_LIST_AHEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { OCIGC_LIST_PARTS = 16 };

struct ocigc_list_part {
    struct ocigc_list_ahead *ahead;
    uint32_t number;
    pthread_t thread;
};

struct ocigc_list_ahead {
    int descriptor;
    bool is_over;
    uint32_t started;
    struct ocigc_list_part parts[OCIGC_LIST_PARTS - 1];
};

/* Starts the threads if the directory is large and its file system is known to work like that. Errors are left to the
 * caller's own listing. The descriptor and `ahead` stay in use until ocigc_list_ahead_end. */
void ocigc_list_ahead_start(struct ocigc_list_ahead *ahead, int descriptor);
void ocigc_list_ahead_end(struct ocigc_list_ahead *ahead);

#endif
