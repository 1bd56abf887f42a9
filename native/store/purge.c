/* purge.c - a directory and all that is in it, gone.
 *
 * The tree is not climbed: a directory that is met below the top's own is moved up into the top, and its turn comes there.
 * So the depth of what is removed costs neither stack nor descriptors, and no path is ever built. */
#include "store/files.h"
#include "store/names.h"
#include "store/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct purge {
    int top;
    uint64_t moved; /* how many directories were moved up; the next one's name */
    struct ocigc_progress *progress;
    struct ocigc_directory directory; /* that the threads empty now */
    const char *name;                 /* its name in the top */
    pthread_mutex_t lock;             /* of what is moved, and of what follows */
    bool advanced;                    /* something is gone, or where it was no more */
    int32_t code;
    struct ocigc_error *error;
};

static int move_up(struct purge *purge, const char *name)
{
    char number[24];
    int cause;
    pthread_mutex_lock(&purge->lock);
    do { /* past names that are taken */
        snprintf(number, sizeof number, "%llu", (unsigned long long)purge->moved++);
        cause = renameat(purge->directory.descriptor, name, purge->top, number) == 0 ? 0 : errno;
    } while (cause == EINTR || cause == EEXIST || cause == ENOTEMPTY || cause == ENOTDIR);
    pthread_mutex_unlock(&purge->lock);
    return cause;
}

/* Whether a name that could not be unlinked is a directory's. */
static bool is_directory(int parent, const char *name, int cause)
{
    struct stat status;
    return (cause == EISDIR || cause == EPERM) && ocigc_status(parent, name, &status) == 0 && S_ISDIR(status.st_mode);
}

static int remove_name(struct purge *purge, const struct dirent64 *entry)
{
    int directory = purge->directory.descriptor;
    int cause = entry->d_type == DT_DIR ? EISDIR : ocigc_unlink(directory, entry->d_name, 0);
    if (entry->d_type == DT_DIR || is_directory(directory, entry->d_name, cause))
        cause = move_up(purge, entry->d_name);
    return cause == ENOENT ? 0 : cause;
}

static void take_result(struct purge *purge, bool advanced, int32_t code, int cause, const char *name)
{
    pthread_mutex_lock(&purge->lock);
    purge->advanced |= advanced;
    if (purge->code == OCIGC_OK && code != OCIGC_OK) {
        purge->code = code;
        if (code == OCIGC_SYSTEM)
            ocigc_fail_system(purge->error, cause, "cannot remove %s/%s", purge->name, name);
        else
            ocigc_fail(purge->error, code, code == OCIGC_CANCELLED ? "cancelled" : "out of memory");
    }
    pthread_mutex_unlock(&purge->lock);
}

static void remove_names(void *context)
{
    struct purge *purge = context;
    struct ocigc_names names;
    const struct dirent64 *entry;
    int taken = -1;
    if (!ocigc_names_init(&names)) {
        take_result(purge, false, OCIGC_NO_MEMORY, 0, "");
        return;
    }
    while (!ocigc_cancelled(purge->progress) && (taken = ocigc_names_take(&names, &purge->directory)) > 0) {
        uint64_t removed = 0;
        int cause = 0;
        while (cause == 0 && (entry = ocigc_names_next(&names)) != NULL) {
            cause = remove_name(purge, entry);
            removed += cause == 0;
        }
        ocigc_progress_add(purge->progress, removed, 0);
        take_result(purge, removed > 0, cause == 0 ? OCIGC_OK : OCIGC_SYSTEM, cause, cause == 0 ? "" : entry->d_name);
        if (cause != 0)
            break;
    }
    if (ocigc_cancelled(purge->progress))
        take_result(purge, false, OCIGC_CANCELLED, 0, "");
    else if (taken < 0)
        take_result(purge, false, OCIGC_SYSTEM, errno, "");
    ocigc_names_free(&names);
}

/* Empties a directory in the top on all cores, and removes it. One that is not empty yet has another turn. */
static int remove_directory(struct purge *purge, const char *name)
{
    int descriptor = ocigc_open_directory(purge->top, name);
    if (descriptor < 0)
        return errno;
    purge->name = name;
    ocigc_directory_init(&purge->directory, descriptor);
    ocigc_parallel(ocigc_thread_count(0), remove_names, purge);
    ocigc_directory_close(&purge->directory);
    int cause = ocigc_unlink(purge->top, name, AT_REMOVEDIR);
    purge->advanced |= cause == 0;
    return cause == ENOTEMPTY || cause == EEXIST ? 0 : cause;
}

/* One turn of all that is in the top. `left` is set where there was anything. */
static int32_t remove_all(struct purge *purge, struct ocigc_names *names, bool *left)
{
    struct ocigc_directory top;
    int taken = 0, descriptor = ocigc_open_directory(purge->top, ".");
    if (descriptor < 0)
        return ocigc_fail_system(purge->error, errno, "cannot list what is to be removed");
    ocigc_directory_init(&top, descriptor);
    while (purge->code == OCIGC_OK && (taken = ocigc_names_take(names, &top)) > 0) {
        const struct dirent64 *entry;
        while (purge->code == OCIGC_OK && (entry = ocigc_names_next(names)) != NULL) {
            *left = true;
            int cause = entry->d_type == DT_DIR ? EISDIR : ocigc_unlink(purge->top, entry->d_name, 0);
            purge->advanced |= cause == 0;
            if (entry->d_type == DT_DIR || is_directory(purge->top, entry->d_name, cause))
                cause = remove_directory(purge, entry->d_name);
            if (purge->code == OCIGC_OK && cause != 0 && cause != ENOENT)
                purge->code = ocigc_fail_system(purge->error, cause, "cannot remove %s", entry->d_name);
        }
    }
    if (taken < 0)
        purge->code = ocigc_fail_system(purge->error, errno, "cannot list what is to be removed");
    ocigc_directory_close(&top);
    return purge->code;
}

static int32_t empty_top(struct purge *purge)
{
    struct ocigc_names names;
    int32_t code = OCIGC_OK;
    bool left = true;
    if (!ocigc_names_init(&names))
        return ocigc_fail(purge->error, OCIGC_NO_MEMORY, "out of memory");
    while (code == OCIGC_OK && left) {
        left = purge->advanced = false;
        code = remove_all(purge, &names, &left);
        if (code == OCIGC_OK && left && !purge->advanced)
            code = ocigc_fail_system(purge->error, ENOTEMPTY, "cannot remove what others keep adding to");
    }
    ocigc_names_free(&names);
    return code;
}

int32_t ocigc_purge(int32_t parent, const char *name, struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct purge purge = {.progress = progress, .error = error};
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
