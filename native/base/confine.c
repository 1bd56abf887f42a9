/* confine.c - least privilege: with Landlock, this process can change only what lies below a few directories. */

#include "base/base.h"

#include <errno.h>
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#endif

#ifdef LANDLOCK_ACCESS_FS_REFER

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Before its second version, Landlock denied every move between directories. */
enum { NEEDED_VERSION = 2 };

#define CHANGES                                                                                                        \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                  \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

/* 0, or an errno. */
static int restrict_to(int ruleset, const int32_t *directories, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        struct landlock_path_beneath_attr beneath = {.allowed_access = CHANGES, .parent_fd = directories[n]};
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
            return errno;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return errno;
    return 0;
}

static int confine(const int32_t *directories, size_t count)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < NEEDED_VERSION)
        return version < 0 ? errno : ENOTSUP;
    struct landlock_ruleset_attr rules = {.handled_access_fs = CHANGES | LANDLOCK_ACCESS_FS_EXECUTE};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    if (ruleset < 0)
        return errno;
    int cause = restrict_to(ruleset, directories, count);
    close(ruleset);
    return cause;
}

#else

static int confine(const int32_t *directories, size_t count)
{
    (void)directories;
    (void)count;
    return ENOSYS;
}

#endif

int32_t ocigc_confine(const int32_t *directories, size_t count, struct ocigc_error *error)
{
    int cause = confine(directories, count);
    return cause == 0 ? OCIGC_OK : ocigc_fail_system(error, cause, "Landlock is not available");
}
