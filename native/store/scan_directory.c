/* scan_directory.c - lists one directory below blobs/. If only names are wanted, no file is touched, as the directory
 * says the type of each; otherwise some threads read statuses while another lists more names. */
#include "store/scan_directory.h"

#include "store/files.h"
#include "store/names.h"
#include "store/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One directory's scan, shared by the threads. */
struct scan {
    ocigc_store *store;
    struct ocigc_digest_table *table;
    struct ocigc_directory directory;
    struct ocigc_progress *progress;
    pthread_mutex_t lock; /* guards what follows, and the store */
    int32_t code;
    struct ocigc_error *error;
};

/* What one thread has found but not handed over yet. */
struct share {
    struct ocigc_names names;
    struct ocigc_digest_table found;
};

int32_t ocigc_entry_mode(int directory, const struct dirent64 *entry, mode_t *mode)
{
    if (entry->d_type != DT_UNKNOWN) {
        *mode = DTTOIF(entry->d_type);
        return 0;
    }
    struct stat status;
    int cause = ocigc_stat(directory, entry->d_name, &status);
    *mode = cause == 0 ? status.st_mode : 0;
    return cause == ENOENT ? 0 : cause;
}

static int32_t refuse(struct scan *scan, const char *name, mode_t mode)
{
    return ocigc_fail(scan->error, OCIGC_UNEXPECTED_FILE, "blobs/%s/%s is %s", scan->table->name, name,
                      ocigc_kind(mode));
}

static int32_t take_other_name(struct scan *scan, const struct dirent64 *entry)
{
    mode_t mode;
    int cause = ocigc_entry_mode(scan->directory.descriptor, entry, &mode);
    if (cause != 0)
        return ocigc_fail_system(scan->error, cause, "cannot read the status of blobs/%s/%s", scan->table->name,
                                 entry->d_name);
    if (mode == 0)
        return OCIGC_OK;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return refuse(scan, entry->d_name, mode);
    return ocigc_store_keep_foreign(scan->store, scan->table->name, entry->d_name) ? OCIGC_OK
                                                                                   : ocigc_fail_memory(scan->error);
}

/* The same, with its whole status if the scan is to keep that. */
static int32_t read_status(const struct scan *scan, const struct dirent64 *entry, struct stat *status, mode_t *mode)
{
    if (scan->store->detail == OCIGC_SCAN_NAMES)
        return ocigc_entry_mode(scan->directory.descriptor, entry, mode);
    int cause = ocigc_stat(scan->directory.descriptor, entry->d_name, status);
    *mode = cause == 0 ? status->st_mode : 0;
    return cause == ENOENT ? 0 : cause;
}

static int32_t add_blob(struct scan *scan, struct ocigc_digest_table *found, const uint8_t *digest, const char *name,
                        const struct stat *status)
{
    if (!ocigc_table_add(found, digest, name))
        return OCIGC_NO_MEMORY;
    if (scan->store->detail == OCIGC_SCAN_NAMES)
        return OCIGC_OK;
    if (!ocigc_status_make(scan->store, &scan->lock, status, ocigc_table_status(found, found->count - 1)))
        return OCIGC_NO_MEMORY;
    if (scan->store->detail == OCIGC_SCAN_IDENTITY)
        *ocigc_table_identity(found, found->count - 1) = (struct ocigc_identity){
            .device = (uint64_t)status->st_dev,
            .inode = (uint64_t)status->st_ino,
            .modified = ocigc_nanoseconds(status->st_mtim),
            .changed = ocigc_nanoseconds(status->st_ctim),
        };
    return OCIGC_OK;
}

static int32_t take_blob(struct scan *scan, struct share *share, const uint8_t *digest, const struct dirent64 *entry)
{
    struct stat status;
    mode_t mode;
    int cause = read_status(scan, entry, &status, &mode);
    if (cause == 0 && mode == 0)
        return OCIGC_OK;
    const char *algorithm = scan->table->name;
    bool registered = scan->table->algorithm != OCIGC_ALGORITHM_OTHER;
    int32_t code = OCIGC_OK;
    if (cause == 0 && S_ISREG(mode))
        return add_blob(scan, &share->found, digest, entry->d_name, &status);
    pthread_mutex_lock(&scan->lock);
    if (scan->code != OCIGC_OK)
        code = scan->code;
    else if (cause != 0)
        code = ocigc_fail_system(scan->error, cause, "cannot read the status of blobs/%s/%s", algorithm, entry->d_name);
    else if (registered || !S_ISDIR(mode))
        code = refuse(scan, entry->d_name, mode);
    else if (!ocigc_store_keep_foreign(scan->store, algorithm, entry->d_name))
        code = ocigc_fail_memory(scan->error);
    scan->code = code;
    pthread_mutex_unlock(&scan->lock);
    return code;
}

/* Whether a name is the encoded part of a digest. Decodes it into `digest` if the algorithm is registered. */
static bool is_encoded(const struct ocigc_digest_table *table, const char *name, uint8_t *digest)
{
    size_t length = strlen(name);
    if (table->algorithm != OCIGC_ALGORITHM_OTHER)
        return ocigc_hex_decode(name, length, digest, table->width) == 0;
    char text[2 * (NAME_MAX + 1)];
    int written = snprintf(text, sizeof text, "%s:%s", table->name, name);
    return written > 0 && ocigc_digest_grammar(text, (size_t)written) >= 0;
}

static int32_t take_names(struct scan *scan, struct share *share)
{
    const struct dirent64 *entry;
    while ((entry = ocigc_names_next(&share->names)) != NULL) {
        uint8_t digest[64];
        int32_t code;
        if (is_encoded(scan->table, entry->d_name, digest)) {
            code = take_blob(scan, share, digest, entry);
        } else {
            pthread_mutex_lock(&scan->lock);
            code = scan->code != OCIGC_OK ? scan->code : take_other_name(scan, entry);
            scan->code = code;
            pthread_mutex_unlock(&scan->lock);
        }
        if (code != OCIGC_OK)
            return code;
    }
    return OCIGC_OK;
}

static int32_t hand_over(struct scan *scan, struct share *share)
{
    ocigc_progress_add(scan->progress, share->found.count, 0);
    pthread_mutex_lock(&scan->lock);
    bool taken = ocigc_table_append(scan->table, &share->found);
    int32_t code = scan->code;
    pthread_mutex_unlock(&scan->lock);
    return taken ? code : OCIGC_NO_MEMORY;
}

static int32_t scan_share(struct scan *scan, struct share *share)
{
    int taken;
    while ((taken = ocigc_names_take(&share->names, &scan->directory)) > 0) {
        if (ocigc_cancelled(scan->progress))
            return OCIGC_CANCELLED;
        int32_t code = take_names(scan, share);
        if (code == OCIGC_OK)
            code = hand_over(scan, share);
        if (code != OCIGC_OK)
            return code;
    }
    return taken == 0 ? OCIGC_OK : OCIGC_SYSTEM;
}

static void scan_worker(void *context)
{
    struct scan *scan = context;
    struct share share = {0};
    int32_t code = OCIGC_NO_MEMORY;
    bool ready = ocigc_table_init(&share.found, scan->table->name, scan->store->detail);
    if (ocigc_names_init(&share.names) && ready)
        code = scan_share(scan, &share);
    int cause = errno;
    if (code != OCIGC_OK) {
        pthread_mutex_lock(&scan->lock);
        if (scan->code == OCIGC_OK) {
            scan->code = code;
            if (code == OCIGC_SYSTEM)
                ocigc_fail_system(scan->error, cause, "cannot list blobs/%s", scan->table->name);
            else if (code == OCIGC_CANCELLED)
                ocigc_fail(scan->error, code, "cancelled");
            else
                ocigc_fail_memory(scan->error);
        }
        pthread_mutex_unlock(&scan->lock);
    }
    ocigc_names_free(&share.names);
    ocigc_table_free(&share.found);
}

/* One thread at a time lists names, and listing takes longer than what is done with the names. Anybody can make any
 * number of directories of unregistered algorithms, so those get no threads. */
static uint32_t useful_threads(const struct ocigc_digest_table *table, int32_t detail, uint32_t threads)
{
    if (table->algorithm == OCIGC_ALGORITHM_OTHER)
        return 1;
    return detail == OCIGC_SCAN_NAMES && threads > 2 ? 2 : threads;
}

/* Takes a wanted blob, unless it is not there, or blobs/ has it. */
static int32_t take_wanted(struct scan *scan, const char *encoded, size_t length)
{
    struct ocigc_digest_table *table = scan->table;
    uint8_t digest[64];
    char name[OCIGC_DIGEST_TEXT_MAX + 1];
    struct stat status;
    if (length >= sizeof name || ocigc_hex_decode(encoded, length, digest, table->width) != 0)
        return ocigc_fail(scan->error, OCIGC_MALFORMED, "not a digest of %s", table->name);
    snprintf(name, sizeof name, "%.*s", (int)length, encoded);
    if (table->directory >= 0 && ocigc_stat(table->directory, name, &status) == 0)
        return OCIGC_OK;
    int cause = ocigc_stat(table->shared, name, &status);
    if (cause == ENOENT)
        return OCIGC_OK;
    if (cause != 0)
        return ocigc_fail_system(scan->error, cause, "cannot read the status of the shared %s/%s", table->name, name);
    if (!S_ISREG(status.st_mode))
        return ocigc_fail(scan->error, OCIGC_UNEXPECTED_FILE, "the shared %s/%s is %s", table->name, name,
                          ocigc_kind(status.st_mode));
    int32_t code = add_blob(scan, table, digest, name, &status);
    return code == OCIGC_NO_MEMORY ? ocigc_fail_memory(scan->error) : code;
}

static int32_t take_shared(struct scan *scan, const struct ocigc_elsewhere *elsewhere)
{
    struct ocigc_digest_table *table = scan->table;
    if (elsewhere->directory < 0 || table->algorithm == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;
    table->shared = ocigc_open_directory(elsewhere->directory, table->name);
    if (table->shared < 0)
        return errno == ENOENT ? OCIGC_OK
                               : ocigc_fail_system(scan->error, errno, "cannot open the shared %s", table->name);
    size_t prefix = strlen(table->name) + 1;
    const char *end = elsewhere->wanted + elsewhere->length, *line = elsewhere->wanted, *newline;
    for (; line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL; line = newline + 1) {
        size_t length = (size_t)(newline - line);
        if (length <= prefix || line[prefix - 1] != ':' || memcmp(line, table->name, prefix - 1) != 0)
            continue;
        int32_t code = take_wanted(scan, line + prefix, length - prefix);
        if (code != OCIGC_OK)
            return code;
    }
    return OCIGC_OK;
}

/* Scans a directory below blobs/; where there may be shared blobs, it may be absent. */
static int32_t scan_own(struct scan *scan, bool may_be_absent, uint32_t threads)
{
    ocigc_store *store = scan->store;
    struct ocigc_digest_table *table = scan->table;
    if (store->blobs < 0)
        return OCIGC_OK;
    int directory = ocigc_open_directory(store->blobs, table->name);
    if (directory < 0 && may_be_absent && errno == ENOENT)
        return OCIGC_OK;
    if (directory < 0)
        return ocigc_fail_system(scan->error, errno, "cannot open blobs/%s", table->name);
    if (table->algorithm != OCIGC_ALGORITHM_OTHER) {
        table->directory = fcntl(directory, F_DUPFD_CLOEXEC, 0);
        if (table->directory < 0) {
            int32_t code = ocigc_fail_system(scan->error, errno, "cannot open blobs/%s", table->name);
            close(directory);
            return code;
        }
    }
    ocigc_directory_init(&scan->directory, directory);
    ocigc_parallel(useful_threads(table, store->detail, threads), scan_worker, scan);
    ocigc_directory_close(&scan->directory);
    return scan->code;
}

int32_t ocigc_scan_directory(ocigc_store *store, struct ocigc_digest_table *table,
                             const struct ocigc_elsewhere *elsewhere, uint32_t threads, struct ocigc_progress *progress,
                             struct ocigc_error *error)
{
    struct scan scan = {.store = store, .table = table, .progress = progress, .error = error};
    pthread_mutex_init(&scan.lock, NULL);
    int32_t code = scan_own(&scan, elsewhere->directory >= 0, threads);
    if (code == OCIGC_OK)
        code = take_shared(&scan, elsewhere);
    pthread_mutex_destroy(&scan.lock);
    if (code == OCIGC_OK && !ocigc_table_sort(table, threads))
        return ocigc_fail_memory(error);
    return code;
}
