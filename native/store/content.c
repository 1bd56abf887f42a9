#include "store/content.h"

#include "store/files.h"

#include <errno.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

int32_t ocigc_content_open(struct ocigc_content *content, const ocigc_store *store, uint32_t node,
                           struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    *content = (struct ocigc_content){.store = store, .node = node, .buffer = buffer};
    return ocigc_blob_open(store, node, &content->blob, error) ? OCIGC_OK : error->code;
}

void ocigc_content_close(struct ocigc_content *content)
{
    ocigc_blob_close(&content->blob);
}

int32_t ocigc_content_may_be_object(const struct ocigc_content *content, bool *may_be, struct ocigc_error *error)
{
    char bytes[FIRST_BYTES];
    size_t wanted = sizeof bytes;
    if ((uint64_t)content->blob.status.st_size < wanted)
        wanted = (size_t)content->blob.status.st_size;
    ssize_t got = ocigc_read_at(content->blob.file, ocigc_blob_start(&content->blob), bytes, wanted);
    if (got < 0) {
        int cause = errno;
        char digest[OCIGC_DIGEST_TEXT_MAX + 1];
        ocigc_store_digest(content->store, content->node, digest);
        return ocigc_fail_system(error, cause, "cannot read %s", digest);
    }
    ssize_t blank = 0;
    while (blank < got && memchr(" \t\n\r", bytes[blank], 4) != NULL)
        blank++;
    *may_be = got > 0 && (blank == got || bytes[blank] == '{');
    return OCIGC_OK;
}

int32_t ocigc_content_load(struct ocigc_content *content, struct ocigc_error *error)
{
    if (content->loaded)
        return OCIGC_OK;
    int32_t code =
        ocigc_blob_load(content->store, content->node, &content->blob, OCIGC_MANIFEST_LIMIT, content->buffer, error);
    content->loaded = code == OCIGC_OK;
    return code;
}

int32_t ocigc_content_check(struct ocigc_content *content, bool is_verified, struct ocigc_error *error)
{
    if (content->checked || ocigc_store_algorithm(content->store, content->node) == OCIGC_ALGORITHM_OTHER)
        return OCIGC_OK;
    int32_t code = OCIGC_OK;
    if (!is_verified)
        code = ocigc_blob_check(content->store, content->node, &content->blob, content->buffer, error);
    else if (!ocigc_blob_unchanged(content->store, content->node, &content->blob.status))
        code = ocigc_blob_fail_changed(content->store, content->node, error);
    content->checked = code == OCIGC_OK;
    return code;
}
