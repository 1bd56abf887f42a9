#include "store/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { MOST_THREADS = 64 };

struct job {
    void (*work)(void *context);
    void *context;
};

static void *run(void *argument)
{
    const struct job *job = argument;
    job->work(job->context);
    return NULL;
}

uint32_t ocigc_thread_count(uint32_t threads)
{
    if (threads == 0) {
        cpu_set_t cores;
        threads = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (uint32_t)CPU_COUNT(&cores) : 1;
    }
    return threads < MOST_THREADS ? threads : MOST_THREADS;
}

void ocigc_parallel(uint32_t threads, void (*work)(void *context), void *context)
{
    struct job job = {work, context};
    pthread_t others[MOST_THREADS];
    uint32_t started = 0;
    while (started + 1 < threads && started < MOST_THREADS && pthread_create(&others[started], NULL, run, &job) == 0)
        started++;
    work(context);
    while (started > 0)
        pthread_join(others[--started], NULL);
}

bool ocigc_is_past(int64_t deadline)
{
    struct timespec now;
    if (deadline == INT64_MAX)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec >= deadline;
}
