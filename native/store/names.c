#include "store/names.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Large enough that system calls and waking the next thread cost nothing, small enough that the threads end together.
 * The first buffers are smaller, so that the names of a small directory are shared too. */
enum { BUFFER_BYTES = 512 << 10, FIRST_BYTES = 64 << 10 };
/* Blocks of 512 bytes: of the first buffer of names, the disk gives more than a hundred of them, or a few. */
enum { COLD_BLOCKS = 32 };

void ocigc_directory_init(struct ocigc_directory *directory, int descriptor)
{
    *directory = (struct ocigc_directory){.descriptor = descriptor, .size = FIRST_BYTES};
    pthread_mutex_init(&directory->lock, NULL);
}

void ocigc_directory_close(struct ocigc_directory *directory)
{
    ocigc_list_ahead_end(&directory->ahead);
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

/* How many blocks this thread has had to read from the disk. */
static long blocks_read(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_inblock : 0;
}

static ssize_t list(struct ocigc_directory *directory, char *buffer)
{
    ssize_t length;
    do
        length = getdents64(directory->descriptor, buffer, directory->size);
    while (length < 0 && errno == EINTR);
    if (directory->size < BUFFER_BYTES)
        directory->size *= 2;
    return length;
}

/* The first names tell whether the directory comes from the disk. */
static ssize_t begin(struct ocigc_directory *directory, char *buffer)
{
    long before = blocks_read();
    ssize_t length = list(directory, buffer);
    int cause = errno;
    directory->is_begun = true;
    if (blocks_read() - before >= COLD_BLOCKS)
        ocigc_list_ahead_start(&directory->ahead, directory->descriptor);
    errno = cause;
    return length;
}

int ocigc_names_take(struct ocigc_names *names, struct ocigc_directory *directory)
{
    pthread_mutex_lock(&directory->lock);
    ssize_t length = directory->is_begun ? list(directory, names->buffer) : begin(directory, names->buffer);
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
