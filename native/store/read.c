#include "store/read.h"

#include "store/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ocigc_buffer_free(struct ocigc_buffer *buffer)
{
    free(buffer->bytes);
}

void ocigc_bytes_free(char *bytes)
{
    free(bytes);
}

static bool reserve(struct ocigc_buffer *buffer, size_t capacity)
{
    if (capacity <= buffer->capacity)
        return true;
    free(buffer->bytes);
    buffer->bytes = malloc(capacity);
    buffer->capacity = buffer->bytes != NULL ? capacity : 0;
    return buffer->bytes != NULL;
}

bool ocigc_buffer_put(struct ocigc_buffer *buffer, const char *bytes, size_t length)
{
    if (!reserve(buffer, length + 1)) /* one more, for an empty blob */
        return false;
    memcpy(buffer->bytes, bytes, length);
    buffer->length = length;
    return true;
}

int32_t ocigc_blob_fail_changed(const ocigc_store *store, uint32_t node, struct ocigc_error *error)
{
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_store_digest(store, node, digest);
    return ocigc_fail(error, OCIGC_CHANGED, "%s changed while it was read", digest);
}

static bool unchanged(const struct ocigc_blob *blob)
{
    struct stat now;
    return ocigc_blob_status(blob, &now) && now.st_size == blob->status.st_size &&
           ocigc_stamp(&now) == ocigc_stamp(&blob->status);
}

int32_t ocigc_blob_load(const ocigc_store *store, uint32_t node, const struct ocigc_blob *blob, uint64_t limit,
                        struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
    uint64_t size = (uint64_t)blob->status.st_size;
    if (size > limit) {
        ocigc_store_digest(store, node, digest);
        return ocigc_fail(error, OCIGC_MALFORMED, "%s has %llu bytes, of which at most %llu may be read", digest,
                          (unsigned long long)size, (unsigned long long)limit);
    }
    if (!reserve(buffer, size + 1)) /* one more, for an empty blob */
        return ocigc_fail_memory(error);
    ssize_t got = ocigc_read_at(blob->file, ocigc_blob_start(blob), buffer->bytes, size);
    if (got < 0) {
        int cause = errno;
        ocigc_store_digest(store, node, digest);
        return ocigc_fail_system(error, cause, "cannot read %s", digest);
    }
    buffer->length = (size_t)got;
    return buffer->length == size ? OCIGC_OK : ocigc_blob_fail_changed(store, node, error);
}

int32_t ocigc_blob_check(const ocigc_store *store, uint32_t node, const struct ocigc_blob *blob,
                         const struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    int32_t algorithm = ocigc_store_algorithm(store, node);
    const uint8_t *bytes = (const uint8_t *)buffer->bytes;
    uint8_t actual[64];
    int32_t code = ocigc_digest_many(algorithm, NULL, 1, &bytes, &buffer->length, actual, NULL);
    if (code == OCIGC_OK && memcmp(actual, ocigc_blob_digest(store, node), ocigc_algorithm_width(algorithm)) == 0)
        return OCIGC_OK;
    if (code == OCIGC_OK && !unchanged(blob))
        return ocigc_blob_fail_changed(store, node, error);
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_store_digest(store, node, digest);
    if (code != OCIGC_OK)
        return ocigc_fail(error, OCIGC_UNVERIFIABLE, "%s cannot be verified: no way to compute its digest", digest);
    return ocigc_fail(error, OCIGC_CORRUPT, "%s is corrupt: its content is not what its digest says", digest);
}

/* Content that matches its digest is right, whatever happened to the file. Other content must at least not have changed
 * meanwhile. */
static int32_t load_and_check(const ocigc_store *store, uint32_t node, uint64_t limit, bool verify,
                              const struct ocigc_blob *blob, struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    int32_t code = ocigc_blob_load(store, node, blob, limit, buffer, error);
    if (code != OCIGC_OK)
        return code;
    int32_t algorithm = ocigc_store_algorithm(store, node);
    if (verify && algorithm != OCIGC_ALGORITHM_OTHER && algorithm != OCIGC_BLAKE3)
        return ocigc_blob_check(store, node, blob, buffer, error);
    return unchanged(blob) ? OCIGC_OK : ocigc_blob_fail_changed(store, node, error);
}

int32_t ocigc_blob_read(const ocigc_store *store, uint32_t node, uint64_t limit, bool verify,
                        struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    struct ocigc_blob blob;
    if (!ocigc_blob_open(store, node, &blob, error))
        return error != NULL ? error->code : OCIGC_SYSTEM;
    int32_t code = load_and_check(store, node, limit, verify, &blob, buffer, error);
    ocigc_blob_close(&blob);
    return code;
}

int32_t ocigc_store_read(const ocigc_store *store, uint32_t node, uint64_t limit, int32_t verify, char **bytes,
                         size_t *length, struct ocigc_error *error)
{
    struct ocigc_buffer buffer = {0};
    int32_t code = ocigc_blob_read(store, node, limit, verify != 0, &buffer, error);
    if (code != OCIGC_OK) {
        ocigc_buffer_free(&buffer);
        return code;
    }
    *bytes = buffer.bytes;
    *length = buffer.length;
    return OCIGC_OK;
}
