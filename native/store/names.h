/* names.h - lists a directory on several threads; each takes a buffer of names at a time. */
#ifndef OCIGC_STORE_NAMES_H
#define OCIGC_STORE_NAMES_H

#include "store/list_ahead.h"

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ocigc_directory {
    int descriptor;
    pthread_mutex_t lock;
    bool is_begun;
    size_t size; /* of the next buffer of names */
    struct ocigc_list_ahead ahead;
};

/* One thread's share of the names. */
struct ocigc_names {
    char *buffer;
    uint32_t length;
    uint32_t position;
};

/* Takes ownership of an open directory's descriptor. */
void ocigc_directory_init(struct ocigc_directory *directory, int descriptor);
void ocigc_directory_close(struct ocigc_directory *directory);

bool ocigc_names_init(struct ocigc_names *names);
void ocigc_names_free(struct ocigc_names *names);
/* Takes the next names. 1; 0 if none are left; -1 with errno set. */
int ocigc_names_take(struct ocigc_names *names, struct ocigc_directory *directory);
/* The next name of those taken, except "." and ".."; NULL past the last. */
const struct dirent64 *ocigc_names_next(struct ocigc_names *names);
/* Whether a name is "." or "..". */
bool ocigc_is_dots(const char *name);

#endif
