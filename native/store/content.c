#include "store/content.h"

#include "store/files.h"
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

/* ---------------------------------------------------------- read by others */

void ocigc_store_ahead_end(ocigc_store *store)
{
    if (store->ahead == NULL)
        return;
    ocigc_node_set_free(&store->ahead->numbers);
    free(store->ahead);
    store->ahead = NULL;
}

int32_t ocigc_store_ahead(ocigc_store *store, const uint32_t *nodes, const uint64_t *ends, size_t count,
                          const char *bytes, struct ocigc_error *error)
{
    ocigc_store_ahead_end(store);
    struct ocigc_ahead *ahead = calloc(1, sizeof *ahead);
    if (ahead == NULL)
        return ocigc_fail_memory(error);
    store->ahead = ahead;
    ahead->ends = ends;
    ahead->bytes = bytes;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i] >= store->count || ends[i] < (i > 0 ? ends[i - 1] : 0))
            return ocigc_fail(error, OCIGC_MALFORMED, "not the contents of nodes");
        int added = ocigc_node_set_add(&ahead->numbers, nodes[i]);
        if (added != 1)
            return added < 0 ? ocigc_fail_memory(error) : ocigc_fail(error, OCIGC_MALFORMED, "a node comes twice");
    }
    return OCIGC_OK;
}

/* Takes the content that the caller has read, if it has the digest of the node. */
static bool open_ahead(struct ocigc_content *content)
{
    const struct ocigc_ahead *ahead = content->store->ahead;
    uint32_t number = ahead != NULL ? ocigc_node_set_find(&ahead->numbers, content->node) : UINT32_MAX;
    if (number == UINT32_MAX || ocigc_store_algorithm(content->store, content->node) == OCIGC_ALGORITHM_OTHER)
        return false;
    uint64_t start = number > 0 ? ahead->ends[number - 1] : 0, size = ahead->ends[number] - start;
    struct ocigc_blob blob = {.file = -1, .status = {.st_mode = S_IFREG, .st_size = (off_t)size}};
    if (size > OCIGC_MANIFEST_LIMIT || !ocigc_buffer_put(content->buffer, ahead->bytes + start, size) ||
        ocigc_blob_check(content->store, content->node, &blob, content->buffer, NULL) != OCIGC_OK)
        return false;
    content->blob = blob;
    return content->loaded = content->checked = true;
}

/* --------------------------------------------------------------- the file */

int32_t ocigc_content_open(struct ocigc_content *content, const ocigc_store *store, uint32_t node,
                           struct ocigc_opened *opened, struct ocigc_buffer *buffer, struct ocigc_error *error)
{
    *content = (struct ocigc_content){.store = store, .node = node, .buffer = buffer};
    bool is_open = open_ahead(content) || ocigc_opened_take(opened, node, &content->blob) ||
                   ocigc_blob_open(store, node, &content->blob, error);
    return is_open ? OCIGC_OK : error->code;
}

void ocigc_content_keep_status(const struct ocigc_content *content, ocigc_store *store)
{
    if (content->blob.file >= 0)
        ocigc_status_keep(store, content->node, &content->blob.status);
}

void ocigc_content_close(struct ocigc_content *content)
{
    if (content->blob.file >= 0)
        ocigc_blob_close(&content->blob);
}

int32_t ocigc_content_may_be_object(struct ocigc_content *content, bool *may_be, struct ocigc_error *error)
{
    char read[FIRST_BYTES];
    const char *bytes = read;
    size_t wanted = sizeof read;
    if ((uint64_t)content->blob.status.st_size < wanted)
        wanted = (size_t)content->blob.status.st_size;
    ssize_t got = (ssize_t)wanted;
    if (wanted < sizeof read) { /* as most documents: read once */
        int32_t code = ocigc_content_load(content, error);
        if (code != OCIGC_OK)
            return code;
    }
    if (content->loaded)
        bytes = content->buffer->bytes;
    else
        got = ocigc_read_at(content->blob.file, ocigc_blob_start(&content->blob), read, wanted);
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
