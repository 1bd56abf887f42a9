/* purge.c - removes a directory with all that is in it. There is no recursion: a directory found below those of the top
 * is moved up into the top and removed there. So depth costs neither stack nor descriptors, and no path is ever built.
 * Names are removed in batches, in the order of their inodes, so that each block of the inode table is written once per
 * batch. The directory's own order, that of hashes, would come back to a block for each of its inodes. A batch of 16
 * MiB would be a tenth faster, but costs too much memory. */
#include "base/vector.h"
#include "store/files.h"
#include "store/names.h"
#include "store/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 4 << 20, /* of directory entries: some 47,000 sha256 names */
    SHARE = 64,            /* names that a thread takes at a time */
    THREADS_A_CORE = 4,    /* removing means waiting for the device, which is told of freed blocks */
};

struct purge {
    int top;
    uint64_t moved;  /* how many directories were moved up; the next one's name */
    char *entries;   /* a batch */
    uint32_t *order; /* the offsets of its entries, by inode */
    uint32_t count;
    uint32_t capacity;
    uint32_t next;
    int directory;    /* which they are in */
    const char *name; /* and its name */
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of what is moved, and of what follows */
    bool advanced;        /* something was removed or moved */
    int32_t code;
    struct ocigc_error *error;
};

static int32_t fail(struct purge *purge, int cause, const char *name)
{
    if (purge->code == OCIGC_OK)
        purge->code = ocigc_fail_system(purge->error, cause, "cannot remove %s%s%s", purge->name,
                                        *purge->name != '\0' && *name != '\0' ? "/" : "", name);
    return purge->code;
}

/* ----------------------------------------------------------------- batches */

static const struct dirent64 *entry_at(const struct purge *purge, uint32_t offset)
{
    return (const struct dirent64 *)(purge->entries + offset);
}

static int by_inode(const void *left, const void *right, void *purge)
{
    uint64_t a = entry_at(purge, *(const uint32_t *)left)->d_ino;
    uint64_t b = entry_at(purge, *(const uint32_t *)right)->d_ino;
    return (a > b) - (a < b);
}

/* Reads entries until the buffer is full or none are left. Returns their bytes, or -1 with errno set. */
static ssize_t read_entries(struct purge *purge)
{
    const size_t piece = 256 << 10;
    size_t used = 0;
    while (BATCH_BYTES - used >= piece) {
        ssize_t got = getdents64(purge->directory, purge->entries + used, piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

/* Takes the directory's next names; an empty batch means that none are left. */
static int32_t take_batch(struct purge *purge)
{
    ssize_t length = read_entries(purge);
    if (length < 0)
        return fail(purge, errno, "");
    purge->count = purge->next = 0;
    for (uint32_t offset = 0; offset < (size_t)length; offset += entry_at(purge, offset)->d_reclen) {
        if (ocigc_is_dots(entry_at(purge, offset)->d_name))
            continue;
        if (!ocigc_reserve(&purge->order, &purge->capacity, purge->count, 1, sizeof *purge->order))
            return purge->code = ocigc_fail(purge->error, OCIGC_NO_MEMORY, "out of memory");
        purge->order[purge->count++] = offset;
    }
    if (purge->count > 0)
        qsort_r(purge->order, purge->count, sizeof *purge->order, by_inode, purge);
    return OCIGC_OK;
}

/* ------------------------------------------------------------------- names */

static int move_up(struct purge *purge, const char *name)
{
    char number[24];
    int cause;
    pthread_mutex_lock(&purge->lock);
    do { /* skip names that exist */
        snprintf(number, sizeof number, "%llu", (unsigned long long)purge->moved++);
        cause = renameat(purge->directory, name, purge->top, number) == 0 ? 0 : errno;
    } while (cause == EINTR || cause == EEXIST || cause == ENOTEMPTY || cause == ENOTDIR);
    pthread_mutex_unlock(&purge->lock);
    return cause;
}

/* 0, or an errno: EISDIR for a directory. */
static int remove_file(int parent, const struct dirent64 *entry)
{
    struct stat status;
    int cause = entry->d_type == DT_DIR ? EISDIR : ocigc_unlink(parent, entry->d_name, 0);
    if (cause == EPERM && ocigc_stat(parent, entry->d_name, &status) == 0 && S_ISDIR(status.st_mode))
        cause = EISDIR;
    return cause == ENOENT ? 0 : cause;
}

static void remove_names(void *context)
{
    struct purge *purge = context;
    const char *name = "";
    uint64_t removed = 0;
    uint32_t first;
    int cause = 0;
    while (cause == 0 && !ocigc_cancelled(purge->progress) &&
           (first = __atomic_fetch_add(&purge->next, SHARE, __ATOMIC_RELAXED)) < purge->count) {
        uint32_t end = purge->count - first < SHARE ? purge->count : first + SHARE;
        for (uint32_t i = first; cause == 0 && i < end; i++) {
            const struct dirent64 *entry = entry_at(purge, purge->order[i]);
            name = entry->d_name;
            cause = remove_file(purge->directory, entry);
            if (cause == EISDIR)
                cause = move_up(purge, name);
            removed += cause == 0;
        }
        ocigc_progress_add(purge->progress, end - first, 0);
    }
    pthread_mutex_lock(&purge->lock);
    purge->advanced |= removed > 0;
    if (cause != 0)
        fail(purge, cause, name);
    pthread_mutex_unlock(&purge->lock);
}

/* ------------------------------------------------------------- directories */

/* Empties a directory in the top on all cores and removes it. If it is not empty then, it gets another turn. */
static int32_t remove_directory(struct purge *purge, const char *name)
{
    purge->name = name;
    purge->directory = ocigc_open_directory(purge->top, name);
    if (purge->directory < 0)
        return errno == ENOENT ? OCIGC_OK : fail(purge, errno, "");
    while (take_batch(purge) == OCIGC_OK && purge->count > 0 && !ocigc_cancelled(purge->progress)) {
        ocigc_parallel(purge->count > SHARE ? THREADS_A_CORE * ocigc_thread_count(0) : 1, remove_names, purge);
        if (purge->code != OCIGC_OK)
            break;
    }
    close(purge->directory);
    if (ocigc_cancelled(purge->progress))
        purge->code = ocigc_fail(purge->error, OCIGC_CANCELLED, "cancelled");
    if (purge->code != OCIGC_OK)
        return purge->code;
    int cause = ocigc_unlink(purge->top, name, AT_REMOVEDIR);
    purge->advanced |= cause == 0;
    return cause == 0 || cause == ENOENT || cause == ENOTEMPTY || cause == EEXIST ? OCIGC_OK : fail(purge, cause, "");
}

static int32_t remove_top_name(struct purge *purge, const struct dirent64 *entry)
{
    int cause = remove_file(purge->top, entry);
    if (cause == EISDIR)
        return remove_directory(purge, entry->d_name);
    purge->advanced |= cause == 0;
    purge->name = "";
    return cause == 0 ? OCIGC_OK : fail(purge, cause, entry->d_name);
}

/* One turn for all that is in the top. Sets `left` if there was anything. */
static int32_t remove_top_names(struct purge *purge, struct ocigc_names *names, bool *left)
{
    struct ocigc_directory top;
    int taken = 0, descriptor = ocigc_open_directory(purge->top, ".");
    if (descriptor < 0)
        return fail(purge, errno, "");
    ocigc_directory_init(&top, descriptor);
    while (purge->code == OCIGC_OK && (taken = ocigc_names_take(names, &top)) > 0) {
        const struct dirent64 *entry;
        while (purge->code == OCIGC_OK && (entry = ocigc_names_next(names)) != NULL) {
            *left = true;
            remove_top_name(purge, entry);
        }
    }
    if (taken < 0)
        fail(purge, errno, "");
    ocigc_directory_close(&top);
    return purge->code;
}

static int32_t empty_top(struct purge *purge)
{
    struct ocigc_names names;
    bool left = true;
    purge->entries = malloc(BATCH_BYTES);
    if (!ocigc_names_init(&names) || purge->entries == NULL)
        purge->code = ocigc_fail(purge->error, OCIGC_NO_MEMORY, "out of memory");
    while (purge->code == OCIGC_OK && left) {
        left = purge->advanced = false;
        if (remove_top_names(purge, &names, &left) == OCIGC_OK && left && !purge->advanced)
            fail(purge, ENOTEMPTY, ""); /* somebody keeps adding to it */
    }
    ocigc_names_free(&names);
    free(purge->entries);
    free(purge->order);
    return purge->code;
}

int32_t ocigc_purge(int32_t parent, const char *name, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct purge purge = {.progress = progress, .name = name, .error = error};
    purge.top = ocigc_open_directory(parent, name);
    if (purge.top < 0)
        return errno == ENOENT ? OCIGC_OK : ocigc_fail_system(error, errno, "cannot open %s", name);
    pthread_mutex_init(&purge.lock, NULL);
    int32_t code = empty_top(&purge);
    pthread_mutex_destroy(&purge.lock);
    close(purge.top);
    int cause = code == OCIGC_OK ? ocigc_unlink(parent, name, AT_REMOVEDIR) : 0;
    if (cause != 0 && cause != ENOENT)
        code = ocigc_fail_system(error, cause, "cannot remove %s", name);
    return code;
}
