/* confine.c - least privilege: with Landlock, this process can change only what lies below a few directories.
 *
 * Newer kernels have more of Landlock. Its constants are defined here, because the headers that this is built with may
 * be older than the kernel that it runs on. A kernel is asked only for what it knows. */

#include "base/base.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_landlock_create_ruleset)

enum {
    VERSION_FLAG = 1,
    PATH_BENEATH = 1,
    /* Before its second version, Landlock denied every move between directories. */
    NEEDED_VERSION = 2,
    TRUNCATE_VERSION = 3,
    NETWORK_VERSION = 4,
    DEVICE_VERSION = 5,
    SCOPE_VERSION = 6,
};

/* Rights to change files and directories. */
#define RIGHT(n)   (UINT64_C(1) << (n))
#define EXECUTE    RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define REMOVE_OR_MAKE                                                                                                 \
    (RIGHT(4) | RIGHT(5) | RIGHT(6) | RIGHT(7) | RIGHT(8) | RIGHT(9) | RIGHT(10) | RIGHT(11) | RIGHT(12))
#define REFER                        RIGHT(13)
#define TRUNCATE                     RIGHT(14)
#define DEVICE_IOCTL                 RIGHT(15)
#define BIND_AND_CONNECT_TCP         (RIGHT(0) | RIGHT(1))
#define ABSTRACT_SOCKETS_AND_SIGNALS (RIGHT(0) | RIGHT(1))

struct ruleset {
    uint64_t files;
    uint64_t network; /* from NETWORK_VERSION on */
    uint64_t scopes;  /* from SCOPE_VERSION on */
};

struct path_beneath {
    uint64_t allowed;
    int32_t directory;
} __attribute__((packed));

/* 0, or an errno. */
static int restrict_to(int ruleset, uint64_t allowed, const int32_t *directories, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        struct path_beneath beneath = {allowed, directories[n]};
        if (syscall(SYS_landlock_add_rule, ruleset, PATH_BENEATH, &beneath, 0) != 0)
            return errno;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return errno;
    return 0;
}

static int confine(const int32_t *directories, size_t count, bool network)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
    if (version < NEEDED_VERSION)
        return version < 0 ? errno : ENOTSUP;
    uint64_t changes = WRITE_FILE | REMOVE_OR_MAKE | REFER | (version >= TRUNCATE_VERSION ? TRUNCATE : 0);
    struct ruleset rules = {
        .files = changes | EXECUTE | (version >= DEVICE_VERSION ? DEVICE_IOCTL : 0),
        .network = network ? 0 : BIND_AND_CONNECT_TCP,
        .scopes = ABSTRACT_SOCKETS_AND_SIGNALS,
    };
    size_t size = version >= SCOPE_VERSION     ? sizeof rules
                  : version >= NETWORK_VERSION ? offsetof(struct ruleset, scopes)
                                               : offsetof(struct ruleset, network);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (ruleset < 0)
        return errno;
    int cause = restrict_to(ruleset, changes, directories, count);
    close(ruleset);
    return cause;
}

#else

static int confine(const int32_t *directories, size_t count, bool network)
{
    (void)directories;
    (void)count;
    (void)network;
    return ENOSYS;
}

#endif

int32_t ocigc_confine(const int32_t *directories, size_t count, int32_t network, struct ocigc_error *error)
{
    int cause = confine(directories, count, network != 0);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(error, cause, "Landlock is not available");
}
