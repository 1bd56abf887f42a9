/* guard.h - survives the loss of a mapped file.
 *
 * A file that shrinks while it is mapped, or cannot be read, raises SIGBUS in the thread that touches it. A thread arms
 * its guard with sigsetjmp(ocigc_guard.resume, 1) and is_armed; the handler stores the address and jumps back there.
 * Every other SIGBUS goes to the handler that was there before. */
#ifndef OCIGC_STORE_GUARD_H
#define OCIGC_STORE_GUARD_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

struct ocigc_guard {
    sigjmp_buf resume;
    volatile sig_atomic_t is_armed;
    const char *volatile address; /* that could not be read */
};

extern _Thread_local struct ocigc_guard ocigc_guard;

/* Whether ocigc_map_blobs has installed the handler. */
bool ocigc_maps_blobs(void);

#endif
