#include "store/list_ahead.h"

#include "store/files.h"

#include <dirent.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    LARGE = 1 << 20, /* bytes of a directory, in which ext4 has some 10,000 blobs */
    BUFFER = 64 << 10,
};

/* The position of the first hash of a part: ext4 has 63 bits for it. */
static int64_t first_of(uint32_t part)
{
    return INT64_MAX / OCIGC_LIST_PARTS * part;
}

static bool is_past(const char *buffer, ssize_t length, int64_t position)
{
    const struct dirent64 *entry;
    for (ssize_t at = 0; at < length; at += entry->d_reclen) {
        entry = (const struct dirent64 *)(buffer + at);
        if (entry->d_off >= position)
            return true;
    }
    return false;
}

static void *list_part(void *argument)
{
    const struct ocigc_list_part *part = argument;
    int64_t end = part->number + 1 < OCIGC_LIST_PARTS ? first_of(part->number + 1) : INT64_MAX;
    int directory = ocigc_open_directory(part->ahead->descriptor, ".");
    char *buffer = malloc(BUFFER);
    if (directory >= 0 && buffer != NULL && lseek(directory, first_of(part->number), SEEK_SET) >= 0) {
        ssize_t length;
        while (!__atomic_load_n(&part->ahead->is_over, __ATOMIC_RELAXED) &&
               (length = getdents64(directory, buffer, BUFFER)) > 0 && !is_past(buffer, length, end))
            continue;
    }
    free(buffer);
    if (directory >= 0)
        close(directory);
    return NULL;
}

static bool is_worthwhile(int descriptor)
{
    struct stat status;
    struct statfs system;
    return fstat(descriptor, &status) == 0 && status.st_size >= LARGE && fstatfs(descriptor, &system) == 0 &&
           system.f_type == EXT4_SUPER_MAGIC;
}

void ocigc_list_ahead_start(struct ocigc_list_ahead *ahead, int descriptor)
{
    *ahead = (struct ocigc_list_ahead){.descriptor = descriptor};
    if (!is_worthwhile(descriptor))
        return;
    while (ahead->started < OCIGC_LIST_PARTS - 1) {
        struct ocigc_list_part *part = &ahead->parts[ahead->started];
        part->ahead = ahead;
        part->number = ahead->started + 1;
        if (pthread_create(&part->thread, NULL, list_part, part) != 0)
            break;
        ahead->started++;
    }
}

void ocigc_list_ahead_end(struct ocigc_list_ahead *ahead)
{
    __atomic_store_n(&ahead->is_over, true, __ATOMIC_RELAXED);
    while (ahead->started > 0)
        pthread_join(ahead->parts[--ahead->started].thread, NULL);
}
