/* parallel.h - runs one function on several threads. */
#ifndef OCIGC_STORE_PARALLEL_H
#define OCIGC_STORE_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

/* `threads`, or for 0 the number of cores that this process may use. */
uint32_t ocigc_thread_count(uint32_t threads);

/* Runs `work(context)` on up to `threads` threads, the caller's among them, and returns when all have returned. The
 * system may grant fewer threads, so `work` takes its share from a common supply. */
void ocigc_parallel(uint32_t threads, void (*work)(void *context), void *context);

/* Whether CLOCK_MONOTONIC has reached `deadline` (ns); INT64_MAX is never reached. */
bool ocigc_is_past(int64_t deadline);

#endif
