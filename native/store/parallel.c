#include "store/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { MOST_THREADS = 64 };

struct job {
    void (*work)(void *context);
    void *context;
    bool is_placed;  /* each thread begins on a core of its own */
    int32_t first;   /* the core of the caller */
    cpu_set_t cores; /* on which all may run */
};

static void *run(void *argument)
{
    const struct job *job = argument;
    if (job->is_placed)
        sched_setaffinity(0, sizeof job->cores, &job->cores);
    job->work(job->context);
    return NULL;
}

/* The core that is so many places after the first, in the cycle of cores. */
static int32_t core_after(const struct job *job, uint32_t places)
{
    int32_t core = job->first;
    while (places > 0) {
        core = (core + 1) % CPU_SETSIZE;
        places -= CPU_ISSET(core, &job->cores) ? 1 : 0;
    }
    return core;
}

/* Starts a thread on a core of its own, from which it may go anywhere. The kernel would often put it on one with the
 * caller, and takes up to 10 ms to notice that another core is idle. */
static bool start_placed(pthread_t *thread, struct job *job, uint32_t number)
{
    pthread_attr_t attributes;
    cpu_set_t only;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    CPU_ZERO(&only);
    CPU_SET(core_after(job, number), &only);
    bool started = pthread_attr_setaffinity_np(&attributes, sizeof only, &only) == 0 &&
                   pthread_create(thread, &attributes, run, job) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static bool start(pthread_t *thread, struct job *job, uint32_t number)
{
    return (job->is_placed && start_placed(thread, job, number)) || pthread_create(thread, NULL, run, job) == 0;
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
    struct job job = {.work = work, .context = context};
    pthread_t others[MOST_THREADS];
    uint32_t started = 0;
    if (threads > 1 && sched_getaffinity(0, sizeof job.cores, &job.cores) == 0) {
        job.first = sched_getcpu();
        job.is_placed = job.first >= 0 && CPU_COUNT(&job.cores) >= (int32_t)threads;
    }
    while (started + 1 < threads && started < MOST_THREADS && start(&others[started], &job, started + 1))
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
