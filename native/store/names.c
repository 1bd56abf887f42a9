#include "store/names.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Large enough that system calls and waking the next thread cost nothing, small enough that the threads end
 * together. */
enum { BUFFER_BYTES = 512 << 10 };

void ocigc_directory_init(struct ocigc_directory *directory, int descriptor)
{
    directory->descriptor = descriptor;
    pthread_mutex_init(&directory->lock, NULL);
}

void ocigc_directory_close(struct ocigc_directory *directory)
{
    pthread_mutex_destroy(&directory->lock);
    close(directory->descriptor);
}

bool ocigc_names_init(struct ocigc_names *names)
{
    *names = (struct ocigc_names){.buffer = malloc(BUFFER_BYTES)};
    return names->buffer != NULL;
}

void ocigc_names_free(struct ocigc_names *names)
{
    free(names->buffer);
}

int ocigc_names_take(struct ocigc_names *names, struct ocigc_directory *directory)
{
    ssize_t length;
    pthread_mutex_lock(&directory->lock);
    do
        length = getdents64(directory->descriptor, names->buffer, BUFFER_BYTES);
    while (length < 0 && errno == EINTR);
    pthread_mutex_unlock(&directory->lock);
    names->position = 0;
    names->length = length > 0 ? (uint32_t)length : 0;
    return length > 0 ? 1 : (int)length;
}

bool ocigc_is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

const struct dirent64 *ocigc_names_next(struct ocigc_names *names)
{
    while (names->position < names->length) {
        const struct dirent64 *entry = (const struct dirent64 *)(names->buffer + names->position);
        names->position += entry->d_reclen;
        if (!ocigc_is_dots(entry->d_name))
            return entry;
    }
    return NULL;
}
