/* inject.c - preloaded into a process, makes one of its system calls below a directory fail, or kills it there.
 *
 * strace can inject faults too, but it counts the calls of each thread apart, and ocigc has a thread for each of its
 * steps: most of its calls could not be reached. This counts over all threads, and needs no ptrace.
 *
 *   FAULT_ROOT      the directory: only calls on it and below it count
 *   FAULT_AT        the number of the call that gets the fault, from 1; 0 for none
 *   FAULT_ERRNO     the error that it gets without being made; 0 for SIGKILL before it is made
 *   FAULT_CHANGING  1: only calls that change something count
 *   FAULT_STICKY    1: every later call gets the error too
 *   FAULT_LOG       a descriptor for a line per call: its name, whether it changes something, its two paths, its
 *                   result, the bytes that it wrote in hex, whether it was made on an open file, and the inode of the
 *                   file that is open then, with tabs between
 *   FAULT_STOPS     numbers of calls, from 0, with commas between: before each of them, the process writes a byte to the
 *                   descriptor FAULT_ASK and reads one from FAULT_ANSWER: 'g', it goes on; 'k', it is killed. With it,
 *                   one call is made at a time, whatever the threads, and time passes only where the process sleeps or
 *                   asks for it
 *   FAULT_OLD       what has not changed since this instant, in nanoseconds, looks a day older than it is
 *
 *   FAULT_NO_EXCHANGE  1: no two names can be exchanged, as over NFS
 *
 * A process that has been forked reads them anew by `fault_configure`.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *root, *stops;
static long at, error, sticky, changing, count;
static int log_to = -1, ask = -1, answer = -1;
static bool no_exchange;
static int64_t old, slept, started[2]; /* nanoseconds; by clock */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static long number(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value == NULL ? otherwise : strtol(value, NULL, 10);
}

__attribute__((constructor)) void fault_configure(void)
{
    root = getenv("FAULT_ROOT");
    at = number("FAULT_AT", 0);
    error = number("FAULT_ERRNO", 0);
    changing = number("FAULT_CHANGING", 0);
    sticky = number("FAULT_STICKY", 0);
    log_to = (int)number("FAULT_LOG", -1);
    stops = getenv("FAULT_STOPS");
    ask = (int)number("FAULT_ASK", -1);
    answer = (int)number("FAULT_ANSWER", -1);
    old = number("FAULT_OLD", 0);
    no_exchange = number("FAULT_NO_EXCHANGE", 0) != 0;
    for (clockid_t clock = CLOCK_REALTIME; clock <= CLOCK_MONOTONIC; clock++) {
        struct timespec now;
        syscall(SYS_clock_gettime, clock, &now);
        started[clock] = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
}

/* ------------------------------------------------------------- what is below */

struct call {
    const char *name;
    bool changes;
    bool is_open; /* made on a descriptor, not on a name */
    int file;     /* the descriptor that it was made on, or that it made */
    char path[2 * PATH_MAX];
    char other[2 * PATH_MAX];
};

static bool is_below(const char *path)
{
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The path of what a call is made on; false where it is not below the root. */
static bool resolve(int directory, const char *name, char *path)
{
    int used = 0;
    *path = '\0';
    if (root == NULL)
        return false;
    if (name == NULL || *name != '/') {
        char link[40];
        if (directory < 0)
            return false; /* the working directory is never below */
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        used = (int)syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (used < 0)
            return false;
        path[used] = '\0';
    }
    if (name != NULL && *name != '\0')
        snprintf(path + used, PATH_MAX, used > 0 ? "/%s" : "%s", name);
    return is_below(path);
}

/* -------------------------------------------------------------------- faults */

static void put(int file, const char *line, size_t size)
{
    for (size_t used = 0; used < size;) {
        long done = syscall(SYS_write, file, line + used, size - used);
        if (done <= 0)
            abort();
        used += (size_t)done;
    }
}

/* Waits for the answer where this call is one of the stops; the turn is this thread's until `record`. */
static void take_turn(void)
{
    char what = 'g';
    pthread_mutex_lock(&turn);
    for (long mine = count++; *stops != '\0' && strtol(stops, NULL, 10) == mine;) {
        put(ask, "?", 1);
        if (syscall(SYS_read, answer, &what, 1) != 1)
            abort();
        if (what == 'k')
            kill(getpid(), SIGKILL);
        stops = strchrnul(stops, ',');
        stops += *stops == ',';
    }
}

/* Whether the call gets an error instead of being made; errno is that error. */
static bool faulted(const struct call *call)
{
    if (stops != NULL) {
        take_turn();
        return false;
    }
    if (changing && !call->changes)
        return false;
    long mine = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (at == 0 || mine < at || (mine > at && !sticky))
        return false;
    if (error == 0)
        kill(getpid(), SIGKILL);
    errno = (int)error;
    return true;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static unsigned long long inode(int file)
{
    struct stat64 status;
    return file >= 0 && REAL(fstat64)(file, &status) == 0 ? status.st_ino : 0;
}

static void record(const struct call *call, long result, const unsigned char *bytes, size_t length)
{
    int cause = errno;
    if (log_to >= 0) {
        bool opens = strcmp(call->name, "open") == 0 || strcmp(call->name, "create") == 0;
        char *line = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&line, &size);
        fprintf(out, "%s\t%d\t%s\t%s\t%ld\t", call->name, call->changes, call->path + strlen(root),
                *call->other ? call->other + strlen(root) : "", result < 0 ? -(long)cause : result);
        for (size_t i = 0; i < length; i++)
            fprintf(out, "%02x", bytes[i]);
        fprintf(out, "\t%d\t%llu\n", call->is_open, inode(opens ? (int)result : call->is_open ? call->file : -1));
        fclose(out);
        put(log_to, line, size);
        free(line);
    }
    if (stops != NULL)
        pthread_mutex_unlock(&turn);
    errno = cause;
}

/* The body of an interposed function: the fault, or the call and its record. */
#define BODY(type, what, alters, below, made, data, length)                       \
    struct call call = {.name = (what), .changes = (alters)};                     \
    if (!(below))                                                                 \
        return made;                                                              \
    type result = faulted(&call) ? (type)-1 : made;                               \
    record(&call, (long)result, data, (long)(result) > 0 ? (size_t)(length) : 0); \
    return result

#define PLAIN(type, what, alters, below, made) BODY(type, what, alters, below, made, NULL, 0)
#define AT(directory, name) resolve(directory, name, call.path)
#define ON(on) (call.is_open = true, call.file = (on), resolve(on, NULL, call.path))

/* -------------------------------------------------------------------- calls */

#define OPEN_AT(function)                                                                                         \
    int function(int directory, const char *name, int flags, ...)                                                 \
    {                                                                                                             \
        va_list more;                                                                                             \
        va_start(more, flags);                                                                                    \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                 \
        va_end(more);                                                                                             \
        PLAIN(int, flags & O_CREAT ? "create" : "open", (flags & (O_CREAT | O_TRUNC)) != 0, AT(directory, name), \
              REAL(function)(directory, name, flags, mode));                                                      \
    }

#define OPEN(function)                                                                                           \
    int function(const char *name, int flags, ...)                                                               \
    {                                                                                                            \
        va_list more;                                                                                            \
        va_start(more, flags);                                                                                   \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                                \
        va_end(more);                                                                                            \
        PLAIN(int, flags & O_CREAT ? "create" : "open", (flags & (O_CREAT | O_TRUNC)) != 0, AT(AT_FDCWD, name), \
              REAL(function)(name, flags, mode));                                                                \
    }

OPEN_AT(openat)
OPEN_AT(openat64)
OPEN(open)
OPEN(open64)

static void age(struct timespec *time)
{
    if ((int64_t)time->tv_sec * 1000000000 + time->tv_nsec < old)
        time->tv_sec -= 86400;
}

#define AGED(made, status) ((made) == 0 ? (age(&(status)->st_mtim), age(&(status)->st_ctim), 0) : -1)

int fstatat64(int directory, const char *restrict name, struct stat64 *restrict status, int flags)
{
    PLAIN(int, "stat", false, AT(directory, name), AGED(REAL(fstatat64)(directory, name, status, flags), status));
}

int fstatat(int directory, const char *restrict name, struct stat *restrict status, int flags)
{
    PLAIN(int, "stat", false, AT(directory, name), AGED(REAL(fstatat)(directory, name, status, flags), status));
}

int fstat64(int file, struct stat64 *status)
{
    PLAIN(int, "stat", false, ON(file), AGED(REAL(fstat64)(file, status), status));
}

int fstat(int file, struct stat *status)
{
    PLAIN(int, "stat", false, ON(file), AGED(REAL(fstat)(file, status), status));
}

ssize_t read(int file, void *bytes, size_t length)
{
    PLAIN(ssize_t, "read", false, ON(file), REAL(read)(file, bytes, length));
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t offset)
{
    PLAIN(ssize_t, "read", false, ON(file), REAL(pread64)(file, bytes, length, offset));
}

ssize_t write(int file, const void *bytes, size_t length)
{
    BODY(ssize_t, "write", true, ON(file), REAL(write)(file, bytes, length), bytes, result);
}

int fsync(int file)
{
    PLAIN(int, "fsync", true, ON(file), REAL(fsync)(file));
}

int fchown(int file, uid_t owner, gid_t group)
{
    PLAIN(int, "fchown", true, ON(file), REAL(fchown)(file, owner, group));
}

int fchmod(int file, mode_t mode)
{
    PLAIN(int, "fchmod", true, ON(file), REAL(fchmod)(file, mode));
}

int mkdirat(int directory, const char *name, mode_t mode)
{
    PLAIN(int, "mkdir", true, AT(directory, name), REAL(mkdirat)(directory, name, mode));
}

int unlinkat(int directory, const char *name, int flags)
{
    PLAIN(int, flags & AT_REMOVEDIR ? "rmdir" : "unlink", true, AT(directory, name),
          REAL(unlinkat)(directory, name, flags));
}

int renameat2(int from, const char *name, int to, const char *target, unsigned int flags)
{
    if (no_exchange && flags & RENAME_EXCHANGE) {
        errno = EINVAL;
        return -1;
    }
    PLAIN(int, flags & RENAME_EXCHANGE ? "exchange" : "rename", true,
          AT(from, name) && resolve(to, target, call.other), REAL(renameat2)(from, name, to, target, flags));
}

int renameat(int from, const char *name, int to, const char *target)
{
    PLAIN(int, "rename", true, AT(from, name) && resolve(to, target, call.other),
          REAL(renameat)(from, name, to, target));
}

int linkat(int from, const char *name, int to, const char *target, int flags)
{
    PLAIN(int, "link", true, AT(from, name) && resolve(to, target, call.other),
          REAL(linkat)(from, name, to, target, flags));
}

ssize_t getdents64(int file, void *entries, size_t length)
{
    PLAIN(ssize_t, "list", false, ON(file), REAL(getdents64)(file, entries, length));
}

struct dirent64 *readdir64(DIR *directory)
{
    struct call call = {.name = "list"};
    if (!ON(dirfd(directory)))
        return REAL(readdir64)(directory);
    struct dirent64 *entry = faulted(&call) ? NULL : REAL(readdir64)(directory);
    record(&call, entry == NULL && errno != 0 ? -1 : entry != NULL, NULL, 0);
    return entry;
}

int flock(int file, int operation)
{
    PLAIN(int, "flock", false, ON(file), REAL(flock)(file, operation));
}

/* A descriptor is gone even where closing it says that something went wrong. */
static int close_for_real(const struct call *call, int file)
{
    bool fails = faulted(call);
    int cause = errno;
    int result = REAL(close)(file);
    errno = fails ? cause : errno;
    return fails ? -1 : result;
}

int close(int file)
{
    struct call call = {.name = "close"};
    if (stops != NULL || !ON(file))
        return REAL(close)(file);
    int result = close_for_real(&call, file);
    record(&call, result, NULL, 0);
    return result;
}

/* --------------------------------------------------------------------- time */

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    int64_t length = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
    if (stops == NULL)
        return REAL(clock_nanosleep)(clock, flags, time, left);
    if (flags & TIMER_ABSTIME) {
        struct timespec now;
        clock_gettime(clock, &now);
        length -= (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    if (length > 0)
        __atomic_add_fetch(&slept, length, __ATOMIC_SEQ_CST);
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = REAL(clock_gettime)(clock, time);
    if (result == 0 && stops != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)) {
        int64_t since = __atomic_add_fetch(&slept, 1000, __ATOMIC_SEQ_CST) + started[clock];
        time->tv_sec = since / 1000000000;
        time->tv_nsec = since % 1000000000;
    }
    return result;
}

/* The instant of real time that is as far away as one of this clock. */
static struct timespec real_time(clockid_t clock, struct timespec until)
{
    struct timespec now;
    if (stops != NULL && clock <= CLOCK_MONOTONIC) {
        REAL(clock_gettime)(clock, &now);
        int64_t left = (int64_t)until.tv_sec * 1000000000 + until.tv_nsec - started[clock] - slept;
        int64_t end = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + (left > 0 ? left : 0);
        until = (struct timespec){.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    }
    return until;
}

/* Threads wait for each other by the time that really passes. */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    struct timespec end = real_time(clock, *until);
    return REAL(sem_clockwait)(semaphore, clock, &end);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    /* Python's conditions have the monotonic clock, which began with the machine. */
    clockid_t clock = until->tv_sec < 1000000000 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    struct timespec end = real_time(clock, *until);
    return pthread_cond_clockwait(condition, mutex, clock, &end);
}
