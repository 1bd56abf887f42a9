#include "store/guard.h"

#include "base/base.h"

#include <errno.h>
#include <stddef.h>

_Thread_local struct ocigc_guard ocigc_guard;

static bool installed;
static struct sigaction before;

static void handle(int number, siginfo_t *info, void *context)
{
    if (ocigc_guard.is_armed) {
        ocigc_guard.address = info->si_addr;
        siglongjmp(ocigc_guard.resume, 1);
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        sigaction(SIGBUS, &before, NULL); /* the instruction is executed again, and now it counts */
    }
}

bool ocigc_maps_blobs(void)
{
    return __atomic_load_n(&installed, __ATOMIC_RELAXED);
}

int32_t ocigc_map_blobs(struct ocigc_error *error)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    if (ocigc_maps_blobs())
        return OCIGC_OK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &before) != 0)
        return ocigc_fail_system(error, errno, "cannot handle SIGBUS");
    __atomic_store_n(&installed, true, __ATOMIC_RELAXED);
    return OCIGC_OK;
}
