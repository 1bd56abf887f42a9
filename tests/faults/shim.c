/* A library to be preloaded: counts the system calls of a run from the moment it takes its lock, and at the one that
 * FAULT_AT names kills the process, or fails the call with the errno in FAULT_ERRNO. FAULT_COUNT names a file that gets the
 * count at the end. EINTR is given once, as a signal would. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int armed;
static long calls;

static int strike(void)
{
    if (!__atomic_load_n(&armed, __ATOMIC_SEQ_CST))
        return 0;
    const char *at = getenv("FAULT_AT");
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != (at == NULL ? -1 : atol(at)))
        return 0;
    const char *cause = getenv("FAULT_ERRNO");
    if (cause == NULL)
        kill(getpid(), SIGKILL);
    errno = atoi(cause);
    return 1;
}

__attribute__((destructor)) static void report(void)
{
    const char *name = getenv("FAULT_COUNT");
    FILE *file = name == NULL ? NULL : fopen(name, "w");
    if (file == NULL)
        return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}

#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, #name))

#define WRAP(result, name, parameters, arguments)                                                                      \
    result name parameters                                                                                             \
    {                                                                                                                  \
        if (strike())                                                                                                  \
            return -1;                                                                                                 \
        return NEXT(name, result(*) parameters) arguments;                                                             \
    }

WRAP(int, renameat2, (int a, const char *b, int c, const char *d, unsigned int e), (a, b, c, d, e))
WRAP(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, unlinkat, (int a, const char *b, int c), (a, b, c))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c))
WRAP(int, linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))
WRAP(int, fsync, (int a), (a))
WRAP(int, fchmod, (int a, mode_t b), (a, b))
WRAP(int, fchown, (int a, uid_t b, gid_t c), (a, b, c))
WRAP(int, fstatat, (int a, const char *b, struct stat *c, int d), (a, b, c, d))
WRAP(int, fstatat64, (int a, const char *b, struct stat64 *c, int d), (a, b, c, d))
WRAP(int, fstat, (int a, struct stat *b), (a, b))
WRAP(int, fstat64, (int a, struct stat64 *b), (a, b))
WRAP(ssize_t, read, (int a, void *b, size_t c), (a, b, c))
WRAP(ssize_t, pread64, (int a, void *b, size_t c, off_t d), (a, b, c, d))
WRAP(ssize_t, getdents64, (int a, void *b, size_t c), (a, b, c))

/* What goes to the terminal is not the layout's. */
ssize_t write(int file, const void *bytes, size_t count)
{
    if (file > 2 && strike())
        return -1;
    return NEXT(write, ssize_t(*)(int, const void *, size_t))(file, bytes, count);
}

#define WRAP_OPEN(name)                                                                                                \
    int name(int directory, const char *path, int flags, ...)                                                          \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                                                 \
        va_end(arguments);                                                                                             \
        if (strike())                                                                                                  \
            return -1;                                                                                                 \
        return NEXT(name, int (*)(int, const char *, int, ...))(directory, path, flags, mode);                         \
    }

WRAP_OPEN(openat)
WRAP_OPEN(openat64)

int flock(int file, int operation)
{
    __atomic_store_n(&armed, 1, __ATOMIC_SEQ_CST);
    if (strike())
        return -1;
    return NEXT(flock, int (*)(int, int))(file, operation);
}
