/* The ledger on a layout of its own, with many threads: verified, written, read, compared; under the sanitizers. */

#include "store/blob.h"
#include "tests/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOBS = 5000, LARGE = 3 };

#define LATER (INT64_MAX / 2) /* so that no blob was touched shortly before */

static int layout;
static uint32_t nodes[BLOBS], selected[BLOBS];
static uint8_t verdicts[BLOBS];
static struct ocigc_checksum checksums[BLOBS];

static void path_of(const ocigc_store *store, uint32_t node, char *path)
{
    memcpy(path, "blobs/", 6);
    size_t length = ocigc_store_digest(store, node, path + 6);
    CHECK(length > 0);
    *strchr(path, ':') = '/';
}

static void write_blob(int number)
{
    static uint8_t content[1 << 20];
    size_t size =
        number < LARGE ? sizeof content - (size_t)number : (size_t)snprintf((char *)content, 32, "%d", number);
    const uint8_t *message = content;
    uint8_t digest[32];
    char path[100] = "blobs/sha256/";
    CHECK(ocigc_digest_many(OCIGC_SHA256, NULL, 1, &message, &size, digest, NULL) == OCIGC_OK);
    ocigc_hex_encode(digest, 32, path + strlen(path));
    int file = openat(layout, path, O_WRONLY | O_CREAT, 0644);
    CHECK(file >= 0 && write(file, content, size) == (ssize_t)size);
    close(file);
}

static ocigc_store *scan(void)
{
    struct ocigc_error error;
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_IDENTITY, 2, &store, NULL, &error) == OCIGC_OK &&
          ocigc_store_count(store) == BLOBS);
    return store;
}

static uint64_t damaged;

static ocigc_ledger *read_ledger(const ocigc_store *store, int file, int64_t now)
{
    struct ocigc_error error;
    ocigc_ledger *ledger;
    CHECK(ocigc_ledger_new(store, &ledger, &error) == OCIGC_OK && lseek(file, 0, SEEK_SET) == 0);
    CHECK(ocigc_ledger_read(ledger, file, now, &damaged, &error) == OCIGC_OK);
    return ledger;
}

static size_t select_nodes(const ocigc_ledger *ledger, int32_t selection, int64_t instant)
{
    return ocigc_ledger_select(ledger, nodes, BLOBS, selection, instant, selected);
}

static void make(int file)
{
    struct ocigc_error error;
    struct ocigc_progress progress = {0};
    struct ocigc_verify_options options = {.deadline = INT64_MAX, .checksums = checksums};
    ocigc_store *store = scan();
    ocigc_ledger *ledger;
    CHECK(ocigc_ledger_new(store, &ledger, &error) == OCIGC_OK && !ocigc_ledger_differs(ledger));
    CHECK(ocigc_verify(store, nodes, BLOBS, 4, &options, verdicts, &progress, &error) == OCIGC_OK);
    ocigc_ledger_update(ledger, nodes, BLOBS, verdicts, checksums, LATER);
    CHECK(ocigc_ledger_differs(ledger) && ocigc_ledger_write(ledger, file, &error) == OCIGC_OK);
    options = (struct ocigc_verify_options){.deadline = 1, .in_order = 1};
    CHECK(ocigc_verify(store, nodes, BLOBS, 4, &options, verdicts, NULL, &error) == OCIGC_OK);
    CHECK(memchr(verdicts, OCIGC_VERDICT_SOUND, BLOBS) == NULL);
    ocigc_ledger_free(ledger);
    ocigc_store_free(store);
}

static void compare(const ocigc_ledger *ledger, uint32_t rotten)
{
    struct ocigc_error error;
    struct ocigc_progress progress = {0};
    CHECK(ocigc_ledger_compare(ledger, nodes, BLOBS, 4, INT64_MAX, verdicts, &progress, &error) == OCIGC_OK);
    CHECK(progress.items == BLOBS && progress.bytes == progress.total_bytes);
    for (uint32_t i = 0; i < BLOBS; i++)
        CHECK(verdicts[i] == (i == rotten ? OCIGC_VERDICT_CORRUPT : OCIGC_VERDICT_SOUND));
    CHECK(ocigc_ledger_compare(ledger, nodes, BLOBS, 4, 1, verdicts, NULL, &error) == OCIGC_OK);
    CHECK(verdicts[0] == OCIGC_VERDICT_UNCHECKED);
    progress.cancel = 1;
    CHECK(ocigc_ledger_compare(ledger, nodes, BLOBS, 4, INT64_MAX, verdicts, &progress, &error) == OCIGC_CANCELLED);
}

static void damage_blob(const ocigc_store *store, uint32_t node)
{
    char path[256];
    path_of(store, node, path);
    int file = openat(layout, path, O_WRONLY);
    CHECK(file >= 0 && pwrite(file, "!", 1, 0) == 1);
    close(file);
}

int main(void)
{
    char name[] = "/tmp/ocigc-ledger-XXXXXX";
    CHECK(mkdtemp(name) != NULL);
    layout = open(name, O_RDONLY | O_DIRECTORY);
    CHECK(layout >= 0 && mkdirat(layout, "blobs", 0755) == 0 && mkdirat(layout, "blobs/sha256", 0755) == 0);
    for (int number = 0; number < BLOBS; number++) {
        write_blob(number);
        nodes[number] = (uint32_t)number;
    }
    int file = memfd_create("ledger", MFD_CLOEXEC);
    CHECK(file >= 0);
    make(file);

    ocigc_store *store = scan();
    ocigc_ledger *ledger = read_ledger(store, file, LATER);
    CHECK(!ocigc_ledger_differs(ledger) && damaged == 0);
    CHECK(select_nodes(ledger, OCIGC_SELECT_CHANGED, 0) == 0);
    CHECK(select_nodes(ledger, OCIGC_SELECT_RECORDED, 0) == BLOBS);
    CHECK(select_nodes(ledger, OCIGC_SELECT_OLDER, LATER) == 0);
    CHECK(select_nodes(ledger, OCIGC_SELECT_OLDER, LATER + 1) == BLOBS);
    compare(ledger, UINT32_MAX);
    ocigc_ledger_free(ledger);
    ledger = read_ledger(store, file, LATER - 1); /* all that it says lies in the future */
    CHECK(select_nodes(ledger, OCIGC_SELECT_UNRECORDED, 0) == BLOBS && ocigc_ledger_differs(ledger));
    ocigc_ledger_free(ledger);

    damage_blob(store, 4321);
    ocigc_store_free(store);
    store = scan();
    CHECK(pwrite(file, "!", 1, 1000) == 1); /* in the first bucket of two */
    ledger = read_ledger(store, file, LATER);
    CHECK(damaged == 1 && select_nodes(ledger, OCIGC_SELECT_UNRECORDED, 0) == 4096);
    CHECK(select_nodes(ledger, OCIGC_SELECT_CHANGED, 0) == 4097 && selected[4096] == 4321);
    ocigc_ledger_free(ledger);
    CHECK(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);

    struct ocigc_error error;
    CHECK(ocigc_ledger_new(store, &ledger, &error) == OCIGC_OK);
    CHECK(ocigc_ledger_read(ledger, file, LATER, &damaged, &error) == OCIGC_MALFORMED);
    ocigc_ledger_free(ledger);
    for (uint32_t node = 0; node < BLOBS; node++) {
        char path[256];
        path_of(store, node, path);
        CHECK(unlinkat(layout, path, 0) == 0);
    }
    ocigc_store_free(store);
    close(file);
    unlinkat(layout, "blobs/sha256", AT_REMOVEDIR);
    unlinkat(layout, "blobs", AT_REMOVEDIR);
    close(layout);
    CHECK(rmdir(name) == 0);
    return 0;
}
