/* A store of an archive: what it reads, hashes and tells is what it would of files; under the sanitizers. */

#include "base/base.h"
#include "store/archive.h"
#include "store/disk_order.h"
#include "store/graph.h"
#include "store/read.h"
#include "tests/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOBS = 600, LARGE = 17, DAMAGED = 20, LABELLED = 40, DIGEST = 71 };

static struct ocigc_error error;
static int archive;
static uint64_t end;
static char names[(BLOBS + 4) * 100];
static struct ocigc_archive_member members[BLOBS + 4];
static uint32_t count, names_length;

static uint64_t append(const uint8_t *content, size_t size)
{
    uint64_t start = end;
    CHECK(pwrite(archive, content, size, (off_t)start) == (ssize_t)size);
    end = start + (size + 511) / 512 * 512;
    return start;
}

static void add_member(const char *name, uint64_t start, uint64_t size, int32_t kind)
{
    uint32_t length = (uint32_t)strlen(name);
    memcpy(names + names_length, name, length);
    members[count++] = (struct ocigc_archive_member){
        .start = start,
        .size = size,
        .modified = INT64_C(1700000000123456789),
        .name = {names_length, length},
        .links = 1,
        .kind = kind,
    };
    names_length += length;
}

static const char *name_of(int number)
{
    static char name[DIGEST + 1];
    memcpy(name, names + members[number].name.start, DIGEST);
    return name;
}

/* The large ones are mapped, in several windows, from an offset that no page begins at. */
static size_t size_of(int number)
{
    if (number < 1)
        return 0;
    return number == LARGE ? 9000001 : (size_t)number * (size_t)number * 5 % 30000 + sizeof number;
}

static void write_blob(int number)
{
    size_t size = size_of(number);
    uint8_t *content = malloc(size + 1);
    uint8_t digest[32];
    char name[DIGEST + 1] = "sha256:";
    CHECK(content != NULL);
    for (size_t i = 0; i < size; i++)
        content[i] = (uint8_t)(i * 31 + (size_t)number * 7 + i / 251);
    if (size > 0) /* no two alike */
        memcpy(content, &number, sizeof number);
    const uint8_t *message = content;
    CHECK(ocigc_digest_many(OCIGC_SHA256, "portable", 1, &message, &size, digest, NULL) == OCIGC_OK);
    ocigc_hex_encode(digest, 32, name + 7);
    if (number == DAMAGED)
        content[0] ^= 1;
    add_member(name, append(content, size), size, OCIGC_ARCHIVE_BLOB);
    free(content);
}

static ocigc_store *open_store(void)
{
    ocigc_store *store;
    CHECK(ocigc_store_of_archive(archive, names, members, count, &store, &error) == OCIGC_OK);
    return store;
}

static uint32_t node_of(const ocigc_store *store, int number)
{
    uint32_t node = ocigc_store_find(store, name_of(number), DIGEST);
    CHECK(node != UINT32_MAX);
    return node;
}

static void verify(const ocigc_store *store, uint8_t *verdicts, uint32_t threads)
{
    uint32_t nodes[BLOBS];
    for (uint32_t node = 0; node < ocigc_store_count(store); node++)
        nodes[node] = node;
    CHECK(ocigc_verify(store, nodes, ocigc_store_count(store), threads, NULL, verdicts, NULL, &error) == OCIGC_OK);
}

static void check_verdicts(const ocigc_store *store)
{
    uint8_t verdicts[BLOBS];
    for (uint32_t threads = 1; threads <= 4; threads++) {
        verify(store, verdicts, threads);
        for (int number = 0; number < BLOBS; number++) {
            uint8_t expected = number == DAMAGED ? OCIGC_VERDICT_CORRUPT : OCIGC_VERDICT_SOUND;
            CHECK(verdicts[node_of(store, number)] == expected);
        }
    }
}

static void test_reading(void)
{
    ocigc_store *store = open_store();
    CHECK(ocigc_store_count(store) == BLOBS);
    for (int number = 0; number < BLOBS; number++) {
        char *bytes;
        size_t length;
        uint32_t node = node_of(store, number);
        CHECK(ocigc_store_size(store, node) == size_of(number));
        int32_t code = ocigc_store_read(store, node, 1 << 24, 1, &bytes, &length, &error);
        CHECK(code == (number == DAMAGED ? OCIGC_CORRUPT : OCIGC_OK));
        if (code == OCIGC_OK) {
            CHECK(length == size_of(number));
            ocigc_bytes_free(bytes);
        }
    }
    struct ocigc_hard_link link;
    CHECK(ocigc_store_stat_now(store, node_of(store, 30), &link, &error) == OCIGC_OK);
    CHECK(link.links == 1 && link.size == size_of(30) && link.modified == members[30].modified);
    CHECK(link.stamp > link.modified && link.stamp == ocigc_store_stamp(store, node_of(store, 30)));
    check_verdicts(store);
    ocigc_store_free(store);
}

/* They are read in the order in which they stand in the archive. */
static void test_order(void)
{
    ocigc_store *store = open_store();
    uint32_t nodes[BLOBS];
    for (uint32_t node = 0; node < BLOBS; node++)
        nodes[node] = node;
    CHECK(fsync(archive) == 0 && posix_fadvise(archive, 0, 0, POSIX_FADV_DONTNEED) == 0);
    uint32_t *order = ocigc_disk_order(store, nodes, BLOBS); /* NULL on a file system in memory */
    uint64_t before = 0;
    for (uint32_t i = 0; order != NULL && i < BLOBS; i++) {
        struct ocigc_hard_link link;
        CHECK(ocigc_store_stat_now(store, nodes[order[i]], &link, &error) == OCIGC_OK);
        CHECK(link.inode >= before);
        before = link.inode;
    }
    free(order);
    ocigc_store_free(store);
}

static void test_labels(void)
{
    char label[200];
    int length = snprintf(label, sizeof label, "{\"containerd.io/gc.root\": \"\", \"other\": \"\"}");
    uint64_t start = append((const uint8_t *)label, (size_t)length);
    uint32_t labels, before = count;
    const char *text;
    add_member(name_of(LABELLED), start, (uint64_t)length, OCIGC_ARCHIVE_LABEL);
    add_member("sha256/stranger", start, 0, OCIGC_ARCHIVE_FOREIGN);
    ocigc_store *store = open_store();
    CHECK(ocigc_store_count(store) == BLOBS && ocigc_store_foreign_count(store) == 1);
    CHECK(strcmp(ocigc_store_foreign(store, 0), "sha256/stranger") == 0);
    CHECK(ocigc_graph_read_labels(store, NULL, &error) == OCIGC_OK);
    const struct ocigc_label *found = ocigc_graph_labels(store, &labels, &text);
    CHECK(labels == 1 && found->node == node_of(store, LABELLED) && found->kind == OCIGC_LABEL_ROOT);
    ocigc_store_free(store);

    members[before].size = (uint64_t)length - 1; /* it ends within the object */
    store = open_store();
    CHECK(ocigc_graph_read_labels(store, NULL, &error) == OCIGC_MALFORMED);
    CHECK(strstr(error.message, "labels/sha256/") != NULL);
    ocigc_store_free(store);
    members[before].size = (uint64_t)1 << 40;
    store = open_store();
    CHECK(ocigc_graph_read_labels(store, NULL, &error) == OCIGC_MALFORMED);
    ocigc_store_free(store);
    members[before].start = end; /* after the end of the file */
    members[before].size = 10;
    store = open_store();
    CHECK(ocigc_graph_read_labels(store, NULL, &error) == OCIGC_CHANGED);
    ocigc_store_free(store);
    count = before;
}

static void test_refused(void)
{
    ocigc_store *store;
    static const char *const not_digests[] = {"sha256:", "sha256", "sha256:abc", ":", "", "SHA256:00", "a/b:00"};
    for (size_t i = 0; i < sizeof not_digests / sizeof *not_digests; i++) {
        uint32_t before = count, length = names_length;
        add_member(not_digests[i], 0, 0, OCIGC_ARCHIVE_BLOB);
        CHECK(ocigc_store_of_archive(archive, names, members, count, &store, &error) == OCIGC_MALFORMED);
        count = before;
        names_length = length;
    }
    add_member("other:some-name", 5, 3, OCIGC_ARCHIVE_BLOB); /* an algorithm that is not registered */
    CHECK(ocigc_store_of_archive(archive, names, members, count, &store, &error) == OCIGC_OK);
    CHECK(ocigc_store_count(store) == BLOBS + 1 && ocigc_store_find(store, "other:some-name", 15) == 0);
    ocigc_store_free(store);
    count--;
    CHECK(ocigc_store_of_archive(archive, names, members, 0, &store, &error) == OCIGC_OK);
    CHECK(ocigc_store_count(store) == 0);
    ocigc_store_free(store);
    CHECK(ocigc_store_of_archive(-1, names, members, count, &store, &error) == OCIGC_SYSTEM);
}

static int32_t expand(int number, uint64_t start, uint8_t media)
{
    uint64_t before = members[number].start;
    members[number].start = start;
    ocigc_store *store = open_store();
    uint32_t node = node_of(store, number);
    int32_t code = ocigc_graph_expand(store, &node, &media, 1, 1, NULL, &error);
    if (code == OCIGC_OK)
        CHECK(ocigc_graph_find_referrers(store, INT64_MIN, 1, NULL, NULL) == OCIGC_OK);
    ocigc_store_free(store);
    members[number].start = before;
    return code;
}

/* What came as a stream and was hashed then is a leaf; it is never taken for what it is not. */
static void test_not_kept(void)
{
    char *bytes;
    size_t length;
    uint64_t before = members[DAMAGED].start;
    CHECK(expand(DAMAGED, members[DAMAGED].start, OCIGC_MEDIA_NONE) == OCIGC_CORRUPT);
    CHECK(expand(DAMAGED, OCIGC_NOT_KEPT, OCIGC_MEDIA_NONE) == OCIGC_OK);
    CHECK(expand(DAMAGED, OCIGC_NOT_KEPT, OCIGC_MEDIA_MANIFEST) == OCIGC_MALFORMED);
    CHECK(strstr(error.message, "not JSON") != NULL);
    members[DAMAGED].start = OCIGC_NOT_KEPT;
    ocigc_store *store = open_store();
    CHECK(ocigc_store_read(store, node_of(store, DAMAGED), 1 << 24, 0, &bytes, &length, &error) == OCIGC_SYSTEM);
    uint8_t verdicts[BLOBS];
    verify(store, verdicts, 2);
    CHECK(verdicts[node_of(store, DAMAGED)] == OCIGC_VERDICT_UNREADABLE);
    ocigc_store_free(store);
    members[DAMAGED].start = before;
}

/* Whoever changes the archive has changed all that is in it. */
static void test_change(void)
{
    uint8_t verdicts[BLOBS];
    ocigc_store *store = open_store();
    struct ocigc_blob blob;
    CHECK(ocigc_blob_open(store, node_of(store, DAMAGED), &blob, &error));
    blob.status.st_ctim.tv_nsec--; /* whatever the clock's grain */
    struct ocigc_buffer buffer = {0};
    CHECK(ocigc_blob_load(store, node_of(store, DAMAGED), &blob, 1 << 24, &buffer, &error) == OCIGC_OK);
    CHECK(ocigc_blob_check(store, node_of(store, DAMAGED), &blob, &buffer, &error) == OCIGC_CHANGED);
    ocigc_buffer_free(&buffer);
    ocigc_blob_close(&blob);

    CHECK(ftruncate(archive, (off_t)members[LARGE].start + 4500000) == 0); /* mapped pages are gone */
    verify(store, verdicts, 2);
    CHECK(verdicts[node_of(store, LARGE)] == OCIGC_VERDICT_CHANGED);
    ocigc_store_free(store);
    store = open_store(); /* now it is the list that does not fit the file */
    verify(store, verdicts, 2);
    CHECK(verdicts[node_of(store, LARGE)] == OCIGC_VERDICT_CHANGED);
    CHECK(verdicts[node_of(store, LARGE - 1)] == OCIGC_VERDICT_SOUND);
    CHECK(verdicts[node_of(store, LARGE + 1)] == OCIGC_VERDICT_CHANGED);
    ocigc_store_free(store);
}

int main(void)
{
    char path[] = "/tmp/ocigc-archive-XXXXXX";
    archive = mkstemp(path);
    CHECK(archive >= 0 && unlink(path) == 0);
    end = 512;
    for (int number = 0; number < BLOBS; number++)
        write_blob(number);
    test_reading();
    test_order();
    test_labels();
    test_refused();
    CHECK(ocigc_map_blobs(&error) == OCIGC_OK);
    test_reading();
    test_not_kept();
    test_change();
    close(archive);
    return 0;
}
