/* files.h - system calls on files and directories, as we use them: relative to a directory's descriptor, without
 * following symlinks, and repeated if they are interrupted. */
#ifndef OCIGC_STORE_FILES_H
#define OCIGC_STORE_FILES_H

#include "base/base.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* -1 with errno set. */
int ocigc_open_directory(int parent, const char *name);
int ocigc_open_file(int parent, const char *name);
/* Opens a directory; if there is none, makes a private one that belongs to the owner of its parent. */
int ocigc_make_directory(int parent, const char *name);
/* Closes a directory once something in it has been opened; gives that, with its errno. */
int ocigc_close_after(int directory, int opened);
/* 0, or an errno. */
int ocigc_stat(int parent, const char *name, struct stat *status);
int ocigc_unlink(int parent, const char *name, int flags);

/* Whether a byte of an open file can be read without waiting for the disk. */
bool ocigc_is_in_memory(int file, uint64_t offset);

/* Reads until `capacity` bytes or the end of the file; the bytes read, or -1 with errno set. */
ssize_t ocigc_read_up_to(int file, char *bytes, size_t capacity);
/* The same from a position on; it does not move the file's own. */
ssize_t ocigc_read_at(int file, uint64_t start, char *bytes, size_t capacity);

/* "a symlink", "a fifo", ... */
const char *ocigc_kind(mode_t mode);

/* The newest of mtime and ctime in nanoseconds since 1970, as near as 64 bits can hold it. */
int64_t ocigc_stamp(const struct stat *status);
int64_t ocigc_nanoseconds(struct timespec time);
/* The time now by the clock that stamps files, which may tick more coarsely. */
int64_t ocigc_now(void);

#endif
