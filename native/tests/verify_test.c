/* The verify engine on a layout of its own: every verdict, many threads, cancellation; under the sanitizers. */

#include "base/base.h"
#include "store/files.h"
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOBS = 300 };

static int layout;
static char digests[BLOBS][80];
static char paths[BLOBS][200];

static void write_blob(int number, size_t size)
{
    uint8_t *content = malloc(size + 1);
    uint8_t digest[32];
    char hex[65] = {0};
    CHECK(content != NULL);
    for (size_t i = 0; i < size; i++)
        content[i] = (uint8_t)(i * 31 + (size_t)number * 7 + i / 251);
    const uint8_t *message = content;
    CHECK(ocigc_digest_many(OCIGC_SHA256, "portable", 1, &message, &size, digest, NULL) == OCIGC_OK);
    ocigc_hex_encode(digest, 32, hex);
    snprintf(digests[number], sizeof digests[number], "sha256:%s", hex);
    snprintf(paths[number], sizeof paths[number], "blobs/sha256/%s", hex);
    int file = openat(layout, paths[number], O_WRONLY | O_CREAT, 0644);
    CHECK(file >= 0 && write(file, content, size) == (ssize_t)size);
    close(file);
    free(content);
}

/* All that the engine reads or maps comes here first, so a test can act between the pieces of a blob. */
static void (*between_pieces)(void);

static void act_between_pieces(void)
{
    void (*act)(void) = __atomic_exchange_n(&between_pieces, NULL, __ATOMIC_SEQ_CST);
    if (act != NULL)
        act();
}

ssize_t pread(int file, void *buffer, size_t count, off_t offset)
{
    ssize_t got = syscall(SYS_pread64, file, buffer, count, offset);
    if (got > 1)
        act_between_pieces();
    return got;
}

/* What asks whether a blob is in memory comes here; an errno is the answer. */
static int refusal;
static int asked;

ssize_t preadv2(int file, const struct iovec *vectors, int count, off_t offset, int flags)
{
    __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
    if (refusal != 0) {
        errno = refusal;
        return -1;
    }
    return syscall(SYS_preadv2, file, vectors, count, offset, 0, flags);
}

static int maps; /* of files */

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    void *window = (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
    if (file >= 0 && window != MAP_FAILED) {
        __atomic_fetch_add(&maps, 1, __ATOMIC_RELAXED);
        act_between_pieces();
    }
    return window;
}

static uint8_t verdict_of(const ocigc_store *store, const uint8_t *verdicts, int number)
{
    uint32_t node = ocigc_store_find(store, digests[number], strlen(digests[number]));
    CHECK(node != UINT32_MAX);
    return verdicts[node];
}

static void damage(int number, const char *content, off_t size)
{
    int file = openat(layout, paths[number], O_WRONLY);
    CHECK(file >= 0);
    if (content != NULL)
        CHECK(write(file, content, strlen(content)) == (ssize_t)strlen(content));
    if (size >= 0)
        CHECK(ftruncate(file, size) == 0);
    close(file);
}

static void verify(ocigc_store *store, uint32_t threads, uint8_t *verdicts)
{
    struct ocigc_progress progress = {0};
    struct ocigc_error error;
    uint32_t nodes[BLOBS];
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < BLOBS; i++) {
        nodes[i] = i;
        bytes += ocigc_store_size(store, i);
    }
    CHECK(ocigc_verify(store, nodes, BLOBS, threads, NULL, verdicts, &progress, &error) == OCIGC_OK);
    CHECK(progress.items == BLOBS && progress.total_items == BLOBS && progress.total_bytes == bytes);
    progress = (struct ocigc_progress){.cancel = 1};
    CHECK(ocigc_verify(store, nodes, BLOBS, threads, NULL, (uint8_t[BLOBS]){0}, &progress, &error) == OCIGC_CANCELLED);
}

/* While nothing is in memory, other threads read ahead. They take no file from those that hash. */
static void test_cold(ocigc_store *store)
{
    uint8_t verdicts[BLOBS];
    struct rlimit limit, tight;
    refusal = EAGAIN;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        asked = 0;
        verify(store, threads, verdicts);
        CHECK(asked > 0);
        for (int number = 9; number < BLOBS; number++)
            CHECK(verdict_of(store, verdicts, number) == OCIGC_VERDICT_SOUND);
    }
    int next = dup(layout);
    CHECK(next >= 0 && close(next) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)next + 2;
    CHECK(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    verify(store, 1, verdicts);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int number = 9; number < BLOBS; number++)
        CHECK(verdict_of(store, verdicts, number) == OCIGC_VERDICT_SOUND);
    refusal = 0;
}

static int large; /* a blob of several pieces */

static void shrink(void)
{
    damage(large, NULL, 1000);
}

static void grow(void)
{
    int file = openat(layout, paths[large], O_WRONLY | O_APPEND);
    CHECK(file >= 0 && write(file, "more", 4) == 4);
    close(file);
}

static void overwrite(void)
{
    int file = openat(layout, paths[large], O_WRONLY);
    CHECK(file >= 0 && pwrite(file, "other", 5, 200000) == 5);
    close(file);
}

static void replace(void)
{
    int file = openat(layout, "new", O_WRONLY | O_CREAT, 0644);
    CHECK(file >= 0 && write(file, "new", 3) == 3);
    close(file);
    CHECK(renameat(layout, "new", layout, paths[large]) == 0);
}

static void link_elsewhere(void)
{
    CHECK(linkat(layout, paths[large], layout, "other", 0) == 0);
}

/* What becomes of the large blob if this happens while it is hashed. */
static uint8_t verdict_if(void (*act)(void), size_t size)
{
    struct ocigc_error error;
    uint8_t verdict = OCIGC_VERDICT_UNCHECKED;
    unlinkat(layout, paths[large], 0);
    write_blob(large, size);
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_STATUS, 1, &store, NULL, &error) == OCIGC_OK);
    uint32_t node = ocigc_store_find(store, digests[large], strlen(digests[large]));
    between_pieces = act;
    CHECK(ocigc_verify(store, &node, 1, 1, NULL, &verdict, NULL, &error) == OCIGC_OK && between_pieces == NULL);
    ocigc_store_free(store);
    return verdict;
}

static void what_becomes_of_it(size_t size)
{
    CHECK(verdict_if(shrink, size) == OCIGC_VERDICT_CHANGED);
    CHECK(verdict_if(grow, size) == OCIGC_VERDICT_CHANGED);
    CHECK(verdict_if(overwrite, size) == OCIGC_VERDICT_CHANGED);
    CHECK(verdict_if(replace, size) == OCIGC_VERDICT_CHANGED);
    CHECK(verdict_if(link_elsewhere, size) == OCIGC_VERDICT_SOUND);
    CHECK(unlinkat(layout, "other", 0) == 0);
}

static volatile sig_atomic_t others_signals;

static void count_signal(int number)
{
    others_signals += number == SIGBUS;
}

/* Mapped blobs: one that is lost in a lane harms no other, and a SIGBUS of somebody else is theirs. */
static void test_mapped(void)
{
    struct ocigc_error error;
    uint8_t verdicts[BLOBS];
    struct sigaction action = {.sa_handler = count_signal};
    CHECK(sigaction(SIGBUS, &action, NULL) == 0 && ocigc_map_blobs(&error) == OCIGC_OK);
    what_becomes_of_it(250000);
    CHECK(maps == 0);
    what_becomes_of_it(3000000);

    unlinkat(layout, paths[large], 0);
    write_blob(large, 5000000);
    int file = openat(layout, paths[large], O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && (maps > 0 || !ocigc_is_in_memory(file, 0))); /* an emulator may not tell what is in memory */
    close(file);
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_STATUS, 1, &store, NULL, &error) == OCIGC_OK);
    uint32_t count = ocigc_store_count(store), nodes[BLOBS];
    for (uint32_t node = 0; node < count; node++)
        nodes[node] = node;
    between_pieces = shrink;
    CHECK(ocigc_verify(store, nodes, count, 1, NULL, verdicts, NULL, &error) == OCIGC_OK);
    for (int number = 12; number < BLOBS; number++)
        CHECK(verdict_of(store, verdicts, number) == OCIGC_VERDICT_SOUND);
    CHECK(verdict_of(store, verdicts, large) == OCIGC_VERDICT_CHANGED);
    ocigc_store_free(store);
    CHECK(others_signals == 0 && raise(SIGBUS) == 0 && others_signals == 1);
}

/* A verification in a thread of its own, which the caller holds back. */
struct held {
    const ocigc_store *store;
    uint32_t nodes[BLOBS];
    uint32_t threads;
    int32_t held;
    uint8_t verdicts[BLOBS];
    struct ocigc_progress progress;
    int32_t result;
};

static void *verify_held(void *argument)
{
    struct held *held = argument;
    const struct ocigc_verify_options options = {.deadline = INT64_MAX, .held = &held->held};
    struct ocigc_error error;
    held->result =
        ocigc_verify(held->store, held->nodes, BLOBS, held->threads, &options, held->verdicts, &held->progress, &error);
    return NULL;
}

/* While the graph is built, large blobs are hashed, and the others wait. */
static void test_held(uint32_t threads, bool cancelled)
{
    struct ocigc_error error;
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_STATUS, 1, &store, NULL, &error) == OCIGC_OK &&
          ocigc_store_count(store) == BLOBS);
    struct held held = {.store = store, .threads = threads, .held = 1};
    uint8_t media[BLOBS];
    uint32_t count = 0;
    for (uint32_t node = 0; node < BLOBS; node++) {
        held.nodes[node] = node;
        media[node] = OCIGC_MEDIA_MANIFEST;
        count += ocigc_store_size(store, node) >= 256 << 10;
    }
    CHECK(count > 0 && count < BLOBS);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, verify_held, &held) == 0);
    ocigc_graph_record(store, OCIGC_RECORD_FAULTS | OCIGC_RECORD_DESCRIPTORS);
    CHECK(ocigc_graph_expand(store, held.nodes, media, BLOBS, 2, NULL, &error) == OCIGC_OK);
    while (__atomic_load_n(&held.progress.items, __ATOMIC_RELAXED) < count)
        sched_yield();
    usleep(1000);
    CHECK(__atomic_load_n(&held.progress.items, __ATOMIC_RELAXED) == count);
    if (cancelled)
        __atomic_store_n(&held.progress.cancel, 1, __ATOMIC_RELAXED);
    else
        ocigc_verify_release(&held.held);
    CHECK(pthread_join(thread, NULL) == 0 && held.result == (cancelled ? OCIGC_CANCELLED : OCIGC_OK));
    for (uint32_t node = 0; node < BLOBS; node++) {
        bool is_done = !cancelled || ocigc_store_size(store, node) >= 256 << 10;
        CHECK((held.verdicts[node] != OCIGC_VERDICT_UNCHECKED) == is_done);
    }
    if (!cancelled)
        CHECK(verdict_of(store, held.verdicts, 7) == OCIGC_VERDICT_CORRUPT && held.progress.items == BLOBS);
    ocigc_store_free(store);
}

/* What lies in tmpfs is in memory, though it cannot be asked. */
static void test_tmpfs(void)
{
    int file = memfd_create("blob", MFD_CLOEXEC);
    CHECK(file >= 0 && write(file, "blob", 4) == 4);
    refusal = EOPNOTSUPP;
    CHECK(ocigc_is_in_memory(file, 0));
    refusal = EAGAIN;
    CHECK(!ocigc_is_in_memory(file, 0));
    refusal = 0;
    close(file);
}

int main(void)
{
    char name[] = "/tmp/ocigc-verify-XXXXXX";
    struct ocigc_error error;
    uint8_t verdicts[BLOBS];
    CHECK(mkdtemp(name) != NULL);
    layout = open(name, O_RDONLY | O_DIRECTORY);
    CHECK(layout >= 0 && mkdirat(layout, "blobs", 0755) == 0 && mkdirat(layout, "blobs/sha256", 0755) == 0);
    for (int number = 0; number < BLOBS; number++)
        write_blob(number, (size_t)number * (size_t)number * 5 % 300000 + (size_t)number % 3);
    damage(7, "X", -1); /* before the scan: corrupt */
    damage(8, NULL, 0);

    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, 2, &store, NULL, &error) == OCIGC_OK &&
          ocigc_store_count(store) == BLOBS);
    CHECK(ocigc_store_stat(store, NULL, 0, 2, NULL, &error) == OCIGC_OK);
    for (uint32_t threads = 0; threads <= 4; threads++) {
        verify(store, threads, verdicts);
        for (int number = 0; number < BLOBS; number++) {
            uint8_t expected = number == 7 || number == 8 ? OCIGC_VERDICT_CORRUPT : OCIGC_VERDICT_SOUND;
            CHECK(verdict_of(store, verdicts, number) == expected);
        }
    }

    test_cold(store);
    test_tmpfs();
    for (uint32_t threads = 1; threads <= 3; threads++) {
        test_held(threads, false);
        test_held(threads, true);
    }

    damage(9, "Y", 100); /* after the scan: changed, and gone */
    CHECK(unlinkat(layout, paths[10], 0) == 0);
    verify(store, 2, verdicts);
    CHECK(verdict_of(store, verdicts, 9) == OCIGC_VERDICT_CHANGED);
    CHECK(verdict_of(store, verdicts, 10) == OCIGC_VERDICT_GONE);
    ocigc_store_free(store);

    large = 11;
    what_becomes_of_it(250000);
    CHECK(maps == 0);
    test_mapped();

    for (int number = 0; number < BLOBS; number++)
        unlinkat(layout, paths[number], 0);
    unlinkat(layout, "blobs/sha256", AT_REMOVEDIR);
    unlinkat(layout, "blobs", AT_REMOVEDIR);
    close(layout);
    CHECK(rmdir(name) == 0);
    return 0;
}
