/* parallel.h - one function on several threads. */
#ifndef OCIGC_STORE_PARALLEL_H
#define OCIGC_STORE_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

/* `threads`, or for 0 one a core that this process may use. */
uint32_t ocigc_thread_count(uint32_t threads);

/* Runs `work(context)` on up to `threads` threads, the caller's among them, and returns once all have returned. Fewer
 * take part where the system has no more to give, so `work` draws its share from a common supply. */
void ocigc_parallel(uint32_t threads, void (*work)(void *context), void *context);

/* Whether CLOCK_MONOTONIC shows `deadline` ns or more; INT64_MAX never comes. */
bool ocigc_is_past(int64_t deadline);

#endif
