#include "store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

int ocigc_open_directory(int parent, const char *name)
{
    int directory;
    do
        directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (directory < 0 && errno == EINTR);
    return directory;
}

int ocigc_open_file(int parent, const char *name)
{
    int file;
    do /* O_NONBLOCK: a fifo that somebody puts in place must not make us wait for its writer. */
        file = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (file < 0 && errno == EINTR);
    return file;
}

int ocigc_stat(int parent, const char *name, struct stat *status)
{
    while (fstatat(parent, name, status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

int ocigc_unlink(int parent, const char *name, int flags)
{
    while (unlinkat(parent, name, flags) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

int ocigc_make_directory(int parent, const char *name)
{
    struct stat above, made;
    while (mkdirat(parent, name, 0700) != 0)
        if (errno == EEXIST)
            return ocigc_open_directory(parent, name);
        else if (errno != EINTR)
            return -1;
    int directory = ocigc_open_directory(parent, name);
    if (directory >= 0 && fstat(parent, &above) == 0 && fstat(directory, &made) == 0 &&
        (above.st_uid != made.st_uid || above.st_gid != made.st_gid) &&
        fchown(directory, above.st_uid, above.st_gid) != 0)
        errno = 0; /* only root may; otherwise its maker can use it */
    return directory;
}

int ocigc_close_after(int directory, int opened)
{
    int cause = errno;
    close(directory);
    errno = cause;
    return opened;
}

bool ocigc_is_in_memory(int file, uint64_t offset)
{
    char byte;
    struct iovec vector = {&byte, 1};
    if (preadv2(file, &vector, 1, (off_t)offset, RWF_NOWAIT) >= 0)
        return true;
    struct statfs system; /* tmpfs does not answer, as it has no disk */
    return errno == EOPNOTSUPP && fstatfs(file, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

/* Reads until the end or as much as fits: from a byte, or with NULL from where the file is. */
static ssize_t read_all(int file, const uint64_t *start, char *bytes, size_t capacity)
{
    size_t used = 0;
    while (used < capacity) {
        ssize_t got = start == NULL ? read(file, bytes + used, capacity - used)
                                    : pread(file, bytes + used, capacity - used, (off_t)(*start + used));
        if (got == 0)
            break;
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)used;
}

ssize_t ocigc_read_up_to(int file, char *bytes, size_t capacity)
{
    return read_all(file, NULL, bytes, capacity);
}

ssize_t ocigc_read_at(int file, uint64_t start, char *bytes, size_t capacity)
{
    return read_all(file, &start, bytes, capacity);
}

const char *ocigc_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFLNK:
        return "a symlink";
    case S_IFIFO:
        return "a fifo";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

int64_t ocigc_nanoseconds(struct timespec time)
{
    int64_t result;
    if (__builtin_mul_overflow((int64_t)time.tv_sec, INT64_C(1000000000), &result) ||
        __builtin_add_overflow(result, (int64_t)time.tv_nsec, &result))
        return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return result;
}

int64_t ocigc_stamp(const struct stat *status)
{
    int64_t modified = ocigc_nanoseconds(status->st_mtim);
    int64_t changed = ocigc_nanoseconds(status->st_ctim);
    return modified > changed ? modified : changed;
}

int64_t ocigc_now(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 ? ocigc_nanoseconds(now) : INT64_MIN;
}
