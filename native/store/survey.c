/* survey.c - what the files behind nodes are: size, times, further names. */
#include "store/files.h"
#include "store/parallel.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARE = 1024 }; /* nodes that a thread takes at a time */

struct survey {
    ocigc_store *store;
    const uint32_t *nodes; /* NULL: all */
    size_t count;
    size_t next;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* of the store's links, and of what follows */
    int32_t code;
    struct ocigc_error *error;
};

static int status_of(const ocigc_store *store, struct ocigc_place place, const char *encoded, struct stat *status)
{
    if (place.segment->directory >= 0)
        return ocigc_status(place.segment->directory, encoded, status);
    int directory = ocigc_open_directory(store->blobs, place.segment->name);
    if (directory < 0)
        return errno;
    int cause = ocigc_status(directory, encoded, status);
    close(directory);
    return cause;
}

int32_t ocigc_store_name(const ocigc_store *store, uint32_t node, struct ocigc_name *out, struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    ocigc_segment_encoded(place.segment, place.position, encoded);
    int cause = status_of(store, place, encoded, &status);
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the status of blobs/%s/%s", place.segment->name, encoded);
    *out = (struct ocigc_name){
        .device = (uint32_t)status.st_dev,
        .inode = status.st_ino,
        .names = status.st_nlink,
        .size = (uint64_t)status.st_size,
        .stamp = ocigc_stamp(&status),
        .modified = ocigc_nanoseconds(status.st_mtim),
    };
    return OCIGC_OK;
}

static int32_t look_at(struct survey *survey, uint32_t node, struct ocigc_facts *facts, uint64_t *bytes,
                       struct ocigc_error *error)
{
    struct ocigc_place place = ocigc_store_place(survey->store, node);
    char encoded[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    ocigc_segment_encoded(place.segment, place.position, encoded);
    int cause = status_of(survey->store, place, encoded, &status);
    const char *algorithm = place.segment->name;
    if (cause == ENOENT) {
        *facts = (struct ocigc_facts){0, OCIGC_STAMP_NEVER};
        return OCIGC_OK;
    }
    if (cause != 0)
        return ocigc_fail_system(error, cause, "cannot read the status of blobs/%s/%s", algorithm, encoded);
    if (!S_ISREG(status.st_mode))
        return ocigc_fail(error, OCIGC_LAYOUT, "blobs/%s/%s is %s", algorithm, encoded, ocigc_kind(status.st_mode));
    if (!ocigc_facts_make(survey->store, &survey->lock, &status, facts))
        return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
    *bytes += (uint64_t)status.st_size;
    return OCIGC_OK;
}

/* A list may have a node twice, in the shares of two threads. */
static int32_t survey_node(struct survey *survey, uint32_t node, uint64_t *bytes, struct ocigc_error *error)
{
    struct ocigc_facts facts = {0, OCIGC_STAMP_UNKNOWN};
    uint32_t place = ocigc_facts_claim(survey->store, node);
    if (place == UINT32_MAX)
        return OCIGC_OK;
    int32_t code = look_at(survey, node, &facts, bytes, error);
    ocigc_facts_put(survey->store, place, facts);
    return code;
}

static int32_t survey_share(struct survey *survey, size_t first, struct ocigc_error *error)
{
    size_t end = survey->count - first < SHARE ? survey->count : first + SHARE;
    uint64_t bytes = 0;
    if (ocigc_cancelled(survey->progress))
        return ocigc_fail(error, OCIGC_CANCELLED, "cancelled");
    for (size_t i = first; i < end; i++) {
        int32_t code = survey_node(survey, survey->nodes != NULL ? survey->nodes[i] : (uint32_t)i, &bytes, error);
        if (code != OCIGC_OK)
            return code;
    }
    ocigc_progress_add(survey->progress, end - first, bytes);
    return OCIGC_OK;
}

static void survey_nodes(void *context)
{
    struct survey *survey = context;
    struct ocigc_error error;
    int32_t code = OCIGC_OK;
    size_t first;
    while (code == OCIGC_OK && (first = __atomic_fetch_add(&survey->next, SHARE, __ATOMIC_RELAXED)) < survey->count)
        code = survey_share(survey, first, &error);
    if (code == OCIGC_OK)
        return;
    __atomic_store_n(&survey->next, survey->count, __ATOMIC_RELAXED);
    pthread_mutex_lock(&survey->lock);
    if (survey->code == OCIGC_OK) {
        survey->code = code;
        if (survey->error != NULL)
            *survey->error = error;
    }
    pthread_mutex_unlock(&survey->lock);
}

int32_t ocigc_store_survey(ocigc_store *store, const uint32_t *nodes, size_t count, uint32_t threads,
                           struct ocigc_progress *progress, struct ocigc_error *error)
{
    struct survey survey = {.store = store, .nodes = nodes, .count = count, .progress = progress, .error = error};
    if (nodes == NULL)
        survey.count = store->count;
    if (progress != NULL)
        __atomic_store_n(&progress->total_items, survey.count, __ATOMIC_RELAXED);
    if (!ocigc_facts_reserve(store, nodes, count))
        return ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
    pthread_mutex_init(&survey.lock, NULL);
    ocigc_parallel(survey.count > SHARE ? ocigc_thread_count(threads) : 1, survey_nodes, &survey);
    pthread_mutex_destroy(&survey.lock);
    return survey.code;
}
