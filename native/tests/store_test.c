/* The store from inside and on many threads: made to run under the sanitizers, ThreadSanitizer above all. The rules
 * themselves are tested in Python, under tests/native. */

#include "store/content.h"
#include "store/disk_order.h"
#include "store/files.h"
#include "store/graph.h"
#include "store/names.h"
#include "store/sort.h"
#include "store/store.h"
#include "tests/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 4, IMAGES = 400, LAYERS = 3 };

static struct ocigc_error error;

/* ----------------------------------------------------------------- layouts */

static int layout, blobs;

static void make_layout(char *path)
{
    CHECK(mkdtemp(path) != NULL);
    layout = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(mkdirat(layout, "blobs", 0777) == 0 && mkdirat(layout, "blobs/sha256", 0777) == 0);
    CHECK(mkdirat(layout, "labels", 0777) == 0 && mkdirat(layout, "labels/sha256", 0777) == 0);
    CHECK(mkdirat(layout, "trash", 0777) == 0);
    blobs = openat(layout, "blobs/sha256", O_RDONLY | O_DIRECTORY);
    CHECK(layout >= 0 && blobs >= 0);
}

static void write_file(int directory, const char *name, const char *content)
{
    int file = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    CHECK(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content));
    close(file);
}

/* Writes a blob and its descriptor. */
static void write_blob(const char *content, const char *media_type, char *descriptor, size_t capacity)
{
    uint8_t digest[32];
    char name[65] = {0};
    const uint8_t *message = (const uint8_t *)content;
    size_t length = strlen(content);
    CHECK(ocigc_digest_many(OCIGC_SHA256, NULL, 1, &message, &length, digest, NULL) == OCIGC_OK);
    ocigc_hex_encode(digest, 32, name);
    write_file(blobs, name, content);
    snprintf(descriptor, capacity,
             "{\"mediaType\": \"application/vnd.oci.image.%s\", \"digest\": \"sha256:%s\", \"size\": %zu}", media_type,
             name, length);
}

static const char *digest_in(const char *descriptor)
{
    return strstr(descriptor, "sha256:");
}

static uint32_t node_of(const ocigc_store *store, const char *descriptor)
{
    uint32_t node = ocigc_store_find(store, digest_in(descriptor), 71);
    CHECK(node != UINT32_MAX);
    return node;
}

static void write_image(int number, const char *subject, char *descriptor, size_t capacity)
{
    char content[64], part[256], manifest[4096];
    size_t used = 0;
    snprintf(content, sizeof content, "config %d", number);
    write_blob(content, "config.v1+json", part, sizeof part);
    used += (size_t)snprintf(manifest + used, sizeof manifest - used, "{\"config\": %s, \"layers\": [", part);
    for (int layer = 0; layer < LAYERS; layer++) {
        /* The last layer is everybody's, so that threads meet in it. */
        snprintf(content, sizeof content, "layer %d of %d", layer, layer == LAYERS - 1 ? 0 : number);
        write_blob(content, "layer.v1.tar", part, sizeof part);
        used += (size_t)snprintf(manifest + used, sizeof manifest - used, "%s%s", layer > 0 ? ", " : "", part);
    }
    used += (size_t)snprintf(manifest + used, sizeof manifest - used, "]");
    if (subject != NULL)
        used += (size_t)snprintf(manifest + used, sizeof manifest - used, ", \"subject\": %s", subject);
    snprintf(manifest + used, sizeof manifest - used, "}");
    write_blob(manifest, "manifest.v1+json", descriptor, capacity);
}

/* Images in one index, each with a label that names the one before; and a referrer of every fourth, in no index. */
static void write_store(char *index, size_t capacity)
{
    static char list[IMAGES * 300];
    char image[256], referrer[256], before[256] = "", sidecar[256], name[128];
    size_t used = (size_t)snprintf(list, sizeof list, "{\"manifests\": [");
    for (int number = 0; number < IMAGES; number++) {
        write_image(number, NULL, image, sizeof image);
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", number > 0 ? ", " : "", image);
        if (number % 4 == 0)
            write_image(IMAGES + number, image, referrer, sizeof referrer);
        if (number > 0) {
            snprintf(sidecar, sizeof sidecar, "{\"containerd.io/gc.ref.content\": \"%.71s\"}", digest_in(before));
            snprintf(name, sizeof name, "labels/sha256/%.64s.json", digest_in(image) + 7);
            write_file(layout, name, sidecar);
        }
        snprintf(before, sizeof before, "%s", image);
    }
    snprintf(list + used, sizeof list - used, "]}");
    write_blob(list, "index.v1+json", index, capacity);
}

/* ------------------------------------------------------------------- tests */

static int by_key(const void *left, const void *right)
{
    return memcmp(left, right, 32);
}

/* Entries of a scan of names and of one with status; few, and so many that threads share them. */
static void test_sort(size_t count, size_t stride)
{
    size_t length = count * stride;
    uint8_t *sorted = malloc(length), *expected = malloc(length);
    CHECK(sorted != NULL && expected != NULL);
    for (size_t shared = 0; shared <= 32; shared += 4) { /* bytes that all keys begin with */
        uint32_t state = 1;
        for (size_t i = 0; i < length; i++) {
            state = state * 1103515245 + 12345;
            sorted[i] = i % stride < shared ? 7 : i % stride < 32 ? (uint8_t)(state >> 16) : (uint8_t)(state >> 24);
        }
        if (shared == 32) /* equal keys may come in any order: let the rest be equal too */
            memset(sorted, 7, length);
        memcpy(expected, sorted, length);
        ocigc_sort_entries(sorted, (uint32_t)count, (uint32_t)stride, 32, THREADS);
        qsort(expected, count, stride, by_key);
        CHECK(memcmp(sorted, expected, length) == 0);
    }
    free(sorted);
    free(expected);
}

/* A file that changes between being opened and being verified is told from one that is corrupt. */
static void test_change_while_reading(void)
{
    char descriptor[256], name[65] = {0};
    write_blob("content", "layer.v1.tar", descriptor, sizeof descriptor);
    memcpy(name, digest_in(descriptor) + 7, 64);
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, 1, &store, NULL, &error) == OCIGC_OK);
    uint32_t node = node_of(store, descriptor);
    struct ocigc_buffer buffer = {0};
    struct ocigc_content content;

    CHECK(ocigc_content_open(&content, store, node, NULL, &buffer, &error) == OCIGC_OK);
    write_file(blobs, name, "CONTENT");
    CHECK(fchmod(content.blob.file, 0600) == 0); /* a new ctime, whatever the clock's grain */
    content.blob.status.st_ctim.tv_nsec--;
    CHECK(ocigc_content_load(&content, &error) == OCIGC_OK);
    CHECK(ocigc_content_check(&content, false, &error) == OCIGC_CHANGED);
    ocigc_content_close(&content);

    CHECK(ocigc_content_open(&content, store, node, NULL, &buffer, &error) == OCIGC_OK);
    CHECK(ocigc_content_load(&content, &error) == OCIGC_OK);
    CHECK(ocigc_content_check(&content, false, &error) == OCIGC_CORRUPT);
    ocigc_content_close(&content);

    CHECK(ocigc_content_open(&content, store, node, NULL, &buffer, &error) == OCIGC_OK);
    write_file(blobs, name, "short");
    CHECK(ocigc_content_load(&content, &error) == OCIGC_CHANGED);
    ocigc_content_close(&content);

    ocigc_buffer_free(&buffer);
    ocigc_store_free(store);
    CHECK(unlinkat(blobs, name, 0) == 0);
}

/* A content that others have read is taken if it is right, else the file. */
static void test_read_by_others(void)
{
    char descriptor[256], name[65] = {0};
    write_blob("{\"a\": 1}", "layer.v1.tar", descriptor, sizeof descriptor);
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, 1, &store, NULL, &error) == OCIGC_OK);
    uint32_t node = node_of(store, descriptor);
    struct ocigc_buffer buffer = {0};
    struct ocigc_content content;
    bool may_be;
    const char *given[] = {"{\"a\": 1}", "{\"a\": 2}", ""};
    for (size_t i = 0; i < 3; i++) {
        uint64_t end = strlen(given[i]);
        CHECK(ocigc_store_ahead(store, &node, &end, 1, given[i], &error) == OCIGC_OK);
        CHECK(ocigc_content_open(&content, store, node, NULL, &buffer, &error) == OCIGC_OK);
        CHECK((content.blob.file < 0) == (i == 0));
        CHECK(ocigc_content_may_be_object(&content, &may_be, &error) == OCIGC_OK && may_be);
        CHECK(ocigc_content_load(&content, &error) == OCIGC_OK);
        CHECK(ocigc_content_check(&content, false, &error) == OCIGC_OK);
        CHECK(buffer.length == 8 && memcmp(buffer.bytes, given[0], 8) == 0);
        ocigc_content_close(&content);
    }
    ocigc_buffer_free(&buffer);
    ocigc_store_free(store);
    memcpy(name, digest_in(descriptor) + 7, 64);
    CHECK(unlinkat(blobs, name, 0) == 0);
}

/* Of what a directory of shared blobs has, a store has what is wanted and its own blobs/ lack. */
static void test_shared(void)
{
    char own[256], there[256], other[256], wanted[4 * 72 + 1], name[65] = {0};
    const char *absent = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    CHECK(mkdirat(layout, "pool", 0777) == 0 && mkdirat(layout, "pool/sha256", 0777) == 0);
    int shared = openat(layout, "pool", O_RDONLY | O_DIRECTORY);
    write_blob("own", "layer.v1.tar", own, sizeof own);
    write_blob("there", "layer.v1.tar", there, sizeof there);
    write_blob("not wanted", "layer.v1.tar", other, sizeof other);
    for (const char *const *moved = (const char *[]){there, other, NULL}; *moved != NULL; moved++) {
        char path[80];
        memcpy(name, digest_in(*moved) + 7, 64);
        snprintf(path, sizeof path, "sha256/%s", name);
        CHECK(renameat(blobs, name, shared, path) == 0);
    }
    int length = snprintf(wanted, sizeof wanted, "%.71s\n%.71s\n%s\n", digest_in(own), digest_in(there), absent);
    for (int32_t detail = OCIGC_SCAN_NAMES; detail <= OCIGC_SCAN_IDENTITY; detail++) {
        ocigc_store *store;
        CHECK(ocigc_store_scan_shared(layout, shared, wanted, (size_t)length, detail, THREADS, &store, NULL, &error) ==
              OCIGC_OK);
        CHECK(ocigc_store_count(store) == 2 && ocigc_store_find(store, digest_in(other), 71) == UINT32_MAX);
        struct ocigc_blob blob;
        struct ocigc_hard_link link;
        CHECK(ocigc_blob_open(store, node_of(store, there), &blob, &error) && blob.status.st_size == 5);
        ocigc_blob_close(&blob);
        CHECK(ocigc_store_stat_now(store, node_of(store, there), &link, &error) == OCIGC_OK && link.size == 5);
        ocigc_store_free(store);
    }
    ocigc_store *store;
    CHECK(ocigc_store_scan_shared(layout, shared, "sha256:xyz\n", 11, OCIGC_SCAN_NAMES, 1, &store, NULL, &error) ==
          OCIGC_MALFORMED);
    close(shared);
    CHECK(ocigc_purge(layout, "pool", NULL, &error) == OCIGC_OK);
    memcpy(name, digest_in(own) + 7, 64);
    CHECK(unlinkat(blobs, name, 0) == 0);
}

static ocigc_store *scan(int32_t depth)
{
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, depth, THREADS, &store, NULL, &error) == OCIGC_OK);
    return store;
}

/* ---------------------------------------------------------------- from disk */

/* Drops what the cache has of all blobs. A file system in memory keeps them. */
static void evict(const ocigc_store *store)
{
    sync();
    for (uint32_t node = 0; node < ocigc_store_count(store); node++) {
        struct ocigc_blob blob;
        CHECK(ocigc_blob_open(store, node, &blob, &error));
        CHECK(posix_fadvise(blob.file, 0, 0, POSIX_FADV_DONTNEED) == 0);
        ocigc_blob_close(&blob);
    }
}

static uint64_t inode_of(const ocigc_store *store, uint32_t node)
{
    struct ocigc_hard_link link;
    CHECK(ocigc_store_stat_now(store, node, &link, &error) == OCIGC_OK);
    return link.inode;
}

static void test_disk_order(void)
{
    ocigc_store *store = scan(OCIGC_SCAN_NAMES);
    uint32_t count = ocigc_store_count(store) / 2, nodes[4 * IMAGES], seen[4 * IMAGES] = {0};
    CHECK(count < 4 * IMAGES);
    for (uint32_t i = 0; i < count; i++)
        nodes[i] = 2 * i;
    CHECK(ocigc_disk_order(store, nodes, 10) == NULL);
    evict(store);
    uint32_t *order = ocigc_disk_order(store, nodes, count);
    for (uint32_t i = 0; order != NULL && i < count; i++) {
        CHECK(order[i] < count && seen[order[i]]++ == 0);
        CHECK(i == 0 || inode_of(store, nodes[order[i - 1]]) <= inode_of(store, nodes[order[i]]));
    }
    free(order);
    evict(store); /* for whoever expands it next */
    ocigc_store_free(store);
}

/* Whatever is read ahead, every name comes once, and an end in the middle is one. (Only ext4 is read ahead.) */
static void test_list_ahead(void)
{
    enum { NAMES = 6000, LENGTH = 240 }; /* more than a MiB */
    struct ocigc_directory directory;
    struct ocigc_names names;
    char name[LENGTH + 1] = {0};
    uint32_t count = 0;
    CHECK(mkdirat(layout, "large", 0777) == 0);
    int large = openat(layout, "large", O_RDONLY | O_DIRECTORY);
    CHECK(close(openat(large, "0", O_WRONLY | O_CREAT, 0666)) == 0);
    for (int i = 1; i < NAMES; i++) {
        snprintf(name, sizeof name, "%0*d", LENGTH, i);
        CHECK(linkat(large, "0", large, name, 0) == 0);
    }
    ocigc_directory_init(&directory, ocigc_open_directory(large, "."));
    ocigc_list_ahead_start(&directory.ahead, directory.descriptor);
    CHECK(ocigc_names_init(&names));
    while (ocigc_names_take(&names, &directory) > 0)
        while (ocigc_names_next(&names) != NULL)
            count++;
    ocigc_names_free(&names);
    CHECK(count == NAMES);
    ocigc_list_ahead_end(&directory.ahead);
    ocigc_list_ahead_start(&directory.ahead, directory.descriptor);
    ocigc_directory_close(&directory);
    close(large);
    CHECK(ocigc_purge(layout, "large", NULL, &error) == OCIGC_OK);
}

/* A reader takes what is open in the order in which it was opened; what it leaves is closed. */
static void test_opened(void)
{
    ocigc_store *store = scan(OCIGC_SCAN_NAMES);
    uint32_t count = ocigc_store_count(store);
    struct ocigc_opened opened = {.count = 0};
    struct ocigc_blob blob;
    CHECK(count > OCIGC_OPENED_MOST);
    for (uint32_t node = 0; node < count; node++)
        ocigc_opened_add(&opened, store, node);
    CHECK(opened.count == OCIGC_OPENED_MOST);
    CHECK(!ocigc_opened_take(&opened, 1, &blob) && !ocigc_opened_take(NULL, 0, &blob));
    for (uint32_t node = 0; node < 2; node++) {
        CHECK(ocigc_opened_take(&opened, node, &blob));
        CHECK(blob.status.st_ino == inode_of(store, node));
        ocigc_blob_close(&blob);
    }
    int left = opened.blobs[2].file;
    ocigc_opened_close(&opened);
    CHECK(fcntl(left, F_GETFD) == -1 && !ocigc_opened_take(&opened, 2, &blob));
    char name[OCIGC_DIGEST_TEXT_MAX + 1], away[] = "away";
    ocigc_store_digest(store, 0, name);
    CHECK(renameat(blobs, strchr(name, ':') + 1, layout, away) == 0);
    ocigc_opened_add(&opened, store, 0); /* it is gone: its reader says so */
    ocigc_opened_add(&opened, store, 1);
    CHECK(renameat(layout, away, blobs, strchr(name, ':') + 1) == 0);
    CHECK(!ocigc_opened_take(&opened, 0, &blob) && ocigc_opened_take(&opened, 1, &blob));
    ocigc_blob_close(&blob);
    ocigc_opened_close(&opened);
    CHECK(ocigc_cold_share() >= 1 && ocigc_cold_share() <= OCIGC_OPENED_MOST);
    ocigc_store_free(store);
}

/* The index as one image, the same again, and one that is absent. */
static void check_usage(const ocigc_store *store, uint32_t root)
{
    enum { UNITS = 3 };
    uint32_t count = ocigc_store_count(store), referrers = 0;
    uint32_t roots[UNITS] = {root, root, UINT32_MAX}, ends[UNITS] = {1, 2, 3};
    uint8_t medias[UNITS] = {OCIGC_MEDIA_INDEX, OCIGC_MEDIA_INDEX, OCIGC_MEDIA_MANIFEST};
    uint64_t numbers[UNITS] = {1, 2, 4}, total = 0;
    uint64_t *sizes = malloc(count * sizeof *sizes);
    uint8_t *flags = calloc(count, 1);
    struct ocigc_usage usage[UNITS];
    struct ocigc_sharing *sharing;
    CHECK(sizes != NULL && flags != NULL);
    ocigc_store_sizes(store, sizes);
    for (uint32_t node = 0; node < count; node++) {
        total += sizes[node];
        referrers += ocigc_graph_subject(store, node) != UINT32_MAX;
    }
    flags[root] = 3;
    CHECK(ocigc_store_empty(store, NULL, 0) == 0);
    CHECK(ocigc_graph_sharing(store, roots, medias, numbers, UNITS, &sharing, &error) == OCIGC_OK);
    CHECK(referrers == IMAGES / 4 && sharing->groups == 1 && sharing->count == 2 * count);
    CHECK(sharing->ends[0] == count && sharing->ends[2] == 2 * count && sharing->owners[root] == -1);
    CHECK(ocigc_graph_usage(store, roots, medias, ends, UNITS, flags, usage, &error) == OCIGC_OK);
    CHECK(usage[0].size == usage[1].size && usage[0].shared == usage[0].size && usage[0].size < total);
    CHECK(usage[0].flagged == sizes[root] && usage[0].flags == 3 && usage[2].size == 0);
    struct ocigc_amounts *amounts;
    CHECK(sharing->group_ends[0] == 1 && sharing->group_ends[2] == 2 && sharing->unit_groups[1] == 0);
    uint8_t *skipped = calloc(count, 1);
    CHECK(skipped != NULL);
    skipped[root] = 1;
    CHECK(ocigc_graph_amounts(store, sharing->owners, UNITS, 1, flags, skipped, 1, &amounts, &error) == OCIGC_OK);
    CHECK(amounts->count == 1 && amounts->alone[3] == total && amounts->flagged[3] == sizes[root]);
    CHECK(amounts->ends[2] == 0 && amounts->rows[0].count == count - 1 && amounts->rows[0].fate == 0);
    CHECK(amounts->rows[0].size == total - sizes[root]);
    ocigc_amounts_free(amounts);
    free(skipped);
    uint8_t visiting[UNITS];
    CHECK(ocigc_graph_visiting(store, roots, medias, UNITS, flags, visiting, &error) == OCIGC_OK);
    CHECK(visiting[0] == 1 && visiting[1] == 1 && visiting[2] == 0);
    CHECK(ocigc_graph_usage(store, sharing->nodes, NULL, sharing->ends, 1, NULL, usage, &error) == OCIGC_OK);
    CHECK(usage[0].size == total && usage[0].shared == 0);
    ocigc_sharing_free(sharing);
    free(sizes);
    free(flags);
}

static void test_phases(const char *index)
{
    struct ocigc_progress progress = {0};
    ocigc_store *store;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, THREADS, &store, &progress, &error) == OCIGC_OK);
    uint32_t count = ocigc_store_count(store), root = node_of(store, index);
    uint8_t media = OCIGC_MEDIA_INDEX;
    CHECK(progress.items == count);
    CHECK(ocigc_graph_read_labels(store, &progress, &error) == OCIGC_OK);
    CHECK(ocigc_graph_expand(store, &root, &media, 1, THREADS, &progress, &error) == OCIGC_OK);
    CHECK(ocigc_graph_find_referrers(store, INT64_MAX, THREADS, &progress, &error) == OCIGC_OK);
    uint32_t end = 1;
    uint8_t flat = 0;
    CHECK(ocigc_graph_mark(store, &root, &end, &flat, 1, 1, &error) == OCIGC_OK);
    CHECK(ocigc_graph_owned(store, 1, 1, NULL, 0) == count);

    uint32_t *nodes = malloc(count * sizeof *nodes);
    uint8_t *results = malloc(count);
    CHECK(nodes != NULL && results != NULL);
    CHECK(ocigc_graph_owned(store, 1, 1, nodes, count) == count);
    CHECK(!ocigc_store_has_status(store, nodes[0]));
    CHECK(ocigc_store_stat(store, nodes, count / 2, THREADS, &progress, &error) == OCIGC_OK);
    CHECK(ocigc_store_stat(store, NULL, 0, THREADS, &progress, &error) == OCIGC_OK);
    CHECK(ocigc_store_has_status(store, nodes[0]) && ocigc_store_has_status(store, nodes[count - 1]));
    check_usage(store, root);
    int trash = openat(layout, "trash", O_RDONLY | O_DIRECTORY);
    CHECK(ocigc_sweep(store, nodes, count, trash, true, results, &progress, &error) == OCIGC_OK);
    close(trash);
    for (uint32_t i = 0; i < count; i++)
        CHECK(results[i] == OCIGC_SWEEP_MOVED);
    free(nodes);
    free(results);
    ocigc_store_free(store);

    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, THREADS, &store, NULL, &error) == OCIGC_OK &&
          ocigc_store_count(store) == 0);
    ocigc_store_free(store);
}

/* An expansion keeps the statuses of what it opens. */
static void test_kept_statuses(const char *index)
{
    ocigc_store *store, *all;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_NAMES, THREADS, &store, NULL, &error) == OCIGC_OK);
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_STATUS, THREADS, &all, NULL, &error) == OCIGC_OK);
    CHECK(ocigc_store_keep_statuses(store, &error) == OCIGC_OK);
    uint32_t root = node_of(store, index), known = 0;
    uint8_t media = OCIGC_MEDIA_INDEX;
    CHECK(!ocigc_store_has_status(store, root));
    CHECK(ocigc_graph_expand(store, &root, &media, 1, THREADS, NULL, &error) == OCIGC_OK);
    CHECK(ocigc_store_has_status(store, root));
    for (uint32_t node = 0; node < ocigc_store_count(store); node++) {
        if (!ocigc_store_has_status(store, node))
            continue;
        known++;
        CHECK(ocigc_store_size(store, node) == ocigc_store_size(all, node));
        CHECK(ocigc_store_stamp(store, node) == ocigc_store_stamp(all, node));
        CHECK(ocigc_blob_was_touched(store, node) == ocigc_blob_was_touched(all, node));
    }
    CHECK(known > 1 && known < ocigc_store_count(store));
    ocigc_store_free(store);
    ocigc_store_free(all);
}

/* What an expansion has found sound is not hashed again, and comes to the same. */
static void test_found_sound(const char *index)
{
    ocigc_store *store, *fresh;
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_IDENTITY, THREADS, &store, NULL, &error) == OCIGC_OK);
    CHECK(ocigc_store_scan(layout, OCIGC_SCAN_IDENTITY, THREADS, &fresh, NULL, &error) == OCIGC_OK);
    uint32_t count = ocigc_store_count(store), root = node_of(store, index), sound = 0;
    uint8_t media = OCIGC_MEDIA_INDEX;
    struct ocigc_checksum found, *checksums = calloc(2 * count, sizeof *checksums);
    uint32_t *nodes = malloc(count * sizeof *nodes);
    uint8_t *verdicts = malloc(2 * count);
    CHECK(checksums != NULL && nodes != NULL && verdicts != NULL);
    ocigc_graph_record(store, OCIGC_RECORD_FAULTS | OCIGC_RECORD_DESCRIPTORS);
    CHECK(ocigc_graph_expand(store, &root, &media, 1, THREADS, NULL, &error) == OCIGC_OK);
    for (uint32_t node = 0; node < count; node++) {
        nodes[node] = node;
        sound += ocigc_graph_is_sound(store->graph, node, &found);
    }
    CHECK(ocigc_graph_is_sound(store->graph, root, &found) && sound > 1 && sound < count);
    struct ocigc_verify_options options = {.deadline = INT64_MAX, .checksums = checksums};
    struct ocigc_progress progress[2] = {{0}, {0}};
    CHECK(ocigc_verify(store, nodes, count, THREADS, &options, verdicts, &progress[0], &error) == OCIGC_OK);
    options.checksums += count;
    CHECK(ocigc_verify(fresh, nodes, count, THREADS, &options, verdicts + count, &progress[1], &error) == OCIGC_OK);
    CHECK(memcmp(verdicts, verdicts + count, count) == 0 && verdicts[root] == OCIGC_VERDICT_SOUND);
    CHECK(memcmp(checksums, checksums + count, count * sizeof *checksums) == 0);
    CHECK(progress[0].items == progress[1].items && progress[0].bytes == progress[1].bytes);
    free(checksums);
    free(nodes);
    free(verdicts);
    ocigc_store_free(store);
    ocigc_store_free(fresh);
}

/* ----------------------------------------------------------------- numbers */

static void test_numbers(void)
{
    enum { NODES = 1000 };
    struct ocigc_node_set numbers = {0};
    CHECK(ocigc_node_set_find(&numbers, 0) == UINT32_MAX);
    for (uint32_t i = 0; i < 2 * NODES; i++)
        CHECK(ocigc_node_set_add(&numbers, i % NODES * UINT32_C(4294967)) == (i < NODES));
    CHECK(numbers.count == NODES);
    for (uint32_t i = 0; i < NODES; i++) {
        CHECK(ocigc_node_set_find(&numbers, i * UINT32_C(4294967)) == i && numbers.nodes[i] == i * UINT32_C(4294967));
        CHECK(ocigc_node_set_find(&numbers, i * UINT32_C(4294967) + 1) == UINT32_MAX);
    }
    ocigc_node_set_free(&numbers);
    CHECK(ocigc_node_set_find(&numbers, 0) == UINT32_MAX);
}

/* -------------------------------------------------------------------- stat */

/* What ocigc_store_stat must find: a scan with status. */
static ocigc_store *reference;

/* The status of the nodes with a number below `sixteenths` modulo 16 is known, that of the others is not. */
static void check_status(const ocigc_store *store, uint32_t sixteenths)
{
    for (uint32_t node = 0; node < ocigc_store_count(store); node++) {
        bool known = node % 16 < sixteenths;
        CHECK(ocigc_store_has_status(store, node) == known);
        CHECK(ocigc_store_size(store, node) == (known ? ocigc_store_size(reference, node) : 0));
        CHECK(ocigc_store_stamp(store, node) == (known ? ocigc_store_stamp(reference, node) : OCIGC_STAMP_UNKNOWN));
    }
}

/* Asks for those nodes. Each is listed several times, so that threads meet in it. */
static int32_t stat_part(ocigc_store *store, uint32_t sixteenths, struct ocigc_progress *progress)
{
    enum { TIMES = 4 };
    uint32_t count = ocigc_store_count(store);
    uint32_t *nodes = malloc(TIMES * count * sizeof *nodes);
    size_t listed = 0;
    CHECK(nodes != NULL);
    for (int time = 0; time < TIMES; time++)
        for (uint32_t node = 0; node < count; node++)
            if (node % 16 < sixteenths)
                nodes[listed++] = node;
    int32_t code = ocigc_store_stat(store, nodes, listed, THREADS, progress, &error);
    free(nodes);
    return code;
}

static void test_stat_by_parts(void)
{
    struct ocigc_progress cancelled = {.cancel = 1};
    ocigc_store *store = scan(OCIGC_SCAN_NAMES);
    uint32_t none;
    check_status(store, 0);
    CHECK(ocigc_store_stat(store, &none, 0, THREADS, NULL, &error) == OCIGC_OK);
    CHECK(store->status.stamps == NULL && !store->status.all);
    CHECK(stat_part(store, 1, &cancelled) == OCIGC_CANCELLED);
    check_status(store, 0);
    CHECK(stat_part(store, 1, NULL) == OCIGC_OK);
    check_status(store, 1);
    CHECK(store->status.numbers.count == (ocigc_store_count(store) + 15) / 16 && !store->status.all);
    CHECK(stat_part(store, 2, NULL) == OCIGC_OK);
    check_status(store, 2);
    CHECK(!store->status.all);
    CHECK(stat_part(store, 9, NULL) == OCIGC_OK);
    check_status(store, 9);
    CHECK(store->status.all && store->status.numbers.count == 0);
    CHECK(ocigc_store_stat(store, NULL, 0, THREADS, NULL, &error) == OCIGC_OK);
    check_status(store, 16);
    CHECK(store->status.all && store->inode_count == reference->inode_count);
    CHECK(stat_part(store, 16, &cancelled) == OCIGC_CANCELLED);
    check_status(store, 16);
    ocigc_store_free(store);
}

static void test_stat_of_all(void)
{
    struct ocigc_progress cancelled = {.cancel = 1};
    ocigc_store *store = scan(OCIGC_SCAN_NAMES);
    CHECK(ocigc_store_stat(store, NULL, 0, THREADS, &cancelled, &error) == OCIGC_CANCELLED);
    check_status(store, 0);
    CHECK(stat_part(store, 1, NULL) == OCIGC_OK);
    check_status(store, 1);
    CHECK(ocigc_store_stat(store, NULL, 0, THREADS, NULL, &error) == OCIGC_OK);
    check_status(store, 16);
    CHECK(store->status.all && store->inode_count == reference->inode_count);
    ocigc_store_free(store);
}

/* If a node is not a regular file, it stays unknown, until it is one again. */
static void test_stat_that_fails(const char *descriptor)
{
    char name[65] = {0};
    memcpy(name, digest_in(descriptor) + 7, 64);
    ocigc_store *store = scan(OCIGC_SCAN_NAMES);
    uint32_t node = node_of(store, descriptor);
    CHECK(renameat(blobs, name, layout, "aside") == 0 && mkdirat(blobs, name, 0777) == 0);
    CHECK(stat_part(store, 16, NULL) == OCIGC_UNEXPECTED_FILE);
    CHECK(!ocigc_store_has_status(store, node) && ocigc_store_size(store, node) == 0);
    CHECK(unlinkat(blobs, name, AT_REMOVEDIR) == 0 && renameat(layout, "aside", blobs, name) == 0);
    CHECK(stat_part(store, 16, NULL) == OCIGC_OK);
    for (uint32_t other = 0; other < ocigc_store_count(store); other++)
        CHECK(ocigc_store_size(store, other) == ocigc_store_size(reference, other));
    ocigc_store_free(store);
}

/* What the scan has asked already is not asked again. */
static void test_stat_after_a_full_scan(int32_t depth)
{
    ocigc_store *store = scan(depth);
    const struct ocigc_digest_table *table = ocigc_store_table(store, "sha256", 6);
    size_t length = (size_t)table->count * table->stride;
    uint8_t *entries = malloc(length);
    CHECK(entries != NULL && table->count == ocigc_store_count(store));
    memcpy(entries, table->entries, length);
    CHECK(stat_part(store, 2, NULL) == OCIGC_OK);
    CHECK(ocigc_store_stat(store, NULL, 0, THREADS, NULL, &error) == OCIGC_OK);
    check_status(store, 16);
    CHECK(memcmp(entries, table->entries, length) == 0);
    CHECK(store->status.stamps == NULL && !store->status.all);
    free(entries);
    ocigc_store_free(store);
}

static void test_stat(const char *descriptor)
{
    char name[65] = {0};
    memcpy(name, digest_in(descriptor) + 7, 64);
    CHECK(linkat(blobs, name, layout, "further name", 0) == 0);
    reference = scan(OCIGC_SCAN_STATUS);
    CHECK(reference->inode_count == 1);
    test_stat_by_parts();
    test_stat_of_all();
    test_stat_after_a_full_scan(OCIGC_SCAN_STATUS);
    test_stat_after_a_full_scan(OCIGC_SCAN_IDENTITY);
    test_stat_that_fails(descriptor);
    ocigc_store_free(reference);
    CHECK(unlinkat(layout, "further name", 0) == 0);
}

int main(void)
{
    char path[] = "/tmp/ocigc-store-test-XXXXXX", index[256];
    for (size_t stride = 32; stride <= 48; stride += 16) {
        test_sort(5000, stride);
        test_sort(70000, stride);
    }
    make_layout(path);
    test_change_while_reading();
    test_read_by_others();
    test_shared();
    write_store(index, sizeof index);
    test_numbers();
    test_stat(index);
    test_disk_order();
    test_opened();
    test_list_ahead();
    test_kept_statuses(index);
    test_found_sound(index);
    test_phases(index);
    close(blobs);
    close(layout);
    CHECK(ocigc_purge(AT_FDCWD, path, NULL, &error) == OCIGC_OK);
    CHECK(access(path, F_OK) != 0);
    return 0;
}
