#include "store/graph_read.h"

#include "base/vector.h"
#include "store/content.h"
#include "json/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ocigc_reader_free(struct ocigc_reader *reader)
{
    ocigc_opened_close(&reader->opened);
    ocigc_buffer_free(&reader->buffer);
    free(reader->targets);
    free(reader->kinds);
    free(reader->queue);
    free(reader->missing);
    free(reader->missing_text);
    free(reader->wrong_sizes);
}

/* ------------------------------------------------------------------- edges */

bool ocigc_reader_claim(struct ocigc_reader *reader, uint32_t node, uint32_t claim)
{
    if (!ocigc_graph_claim(reader->store->graph, node, claim))
        return true;
    if (!ocigc_reserve(&reader->queue, &reader->queue_capacity, reader->queue_count, 1, sizeof *reader->queue))
        return false;
    reader->queue[reader->queue_count++] = node;
    return true;
}

static bool claim_edges(struct ocigc_reader *reader, uint32_t first)
{
    for (uint32_t i = first; i < reader->edge_count; i++) {
        uint8_t kind = reader->kinds[i];
        if (reader->targets[i] != UINT32_MAX && !ocigc_edge_is_back(kind) &&
            !ocigc_reader_claim(reader, reader->targets[i],
                                ocigc_claim_of(ocigc_edge_role(kind), ocigc_edge_media(kind))))
            return false;
    }
    return true;
}

static bool record_missing(struct ocigc_reader *reader)
{
    const struct ocigc_lookup *lookup = &reader->lookup;
    if (!ocigc_reserve(&reader->missing, &reader->missing_capacity, reader->missing_count, 1,
                       sizeof *reader->missing) ||
        !ocigc_reserve(&reader->missing_text, &reader->missing_text_capacity, reader->missing_text_length,
                       lookup->length, 1))
        return false;
    reader->missing[reader->missing_count++] = (struct ocigc_missing){
        .node = reader->node,
        .digest = {reader->missing_text_length, lookup->length},
        .role = (int8_t)lookup->role,
        .media = (int8_t)lookup->media,
        .is_foreign = lookup->is_foreign,
    };
    memcpy(reader->missing_text + reader->missing_text_length, lookup->text, lookup->length);
    reader->missing_text_length += lookup->length;
    return true;
}

static bool record_wrong_size(struct ocigc_reader *reader, uint32_t node)
{
    if (!ocigc_reserve(&reader->wrong_sizes, &reader->wrong_size_capacity, reader->wrong_size_count, 1,
                       sizeof *reader->wrong_sizes))
        return false;
    reader->wrong_sizes[reader->wrong_size_count++] = node;
    return true;
}

static bool fail(struct ocigc_reader *reader, int32_t code)
{
    reader->code = code;
    return false;
}

static int add_embedded(void *context, const struct ocigc_found_descriptor *found);
static bool finish_lookup(struct ocigc_reader *reader);

/* Reads the `data` of an absent blob in its place. If that is corrupt, the blob is missing; if it is a manifest, that
 * is an error. false: reader->code says why. */
static bool read_data(struct ocigc_reader *reader, bool *is_missing)
{
    struct ocigc_lookup lookup = reader->lookup;
    uint32_t edges = reader->edge_count, missing = reader->missing_count, wrong_sizes = reader->wrong_size_count;
    struct ocigc_found_descriptor found = {
        .role = lookup.role,
        .media = lookup.media,
        .size = lookup.size,
        .bytes = lookup.bytes,
        .data = lookup.data,
        .binary = lookup.digest,
    };
    int32_t code = ocigc_embedded_scan(&found, add_embedded, reader);
    if (code == OCIGC_OK)
        return finish_lookup(reader);
    bool is_manifest =
        lookup.role == OCIGC_ROLE_MANIFEST || lookup.media == OCIGC_MEDIA_MANIFEST || lookup.media == OCIGC_MEDIA_INDEX;
    *is_missing = true;
    reader->edge_count = edges;
    reader->missing_count = missing;
    reader->wrong_size_count = wrong_sizes;
    reader->lookup = lookup;
    if (code == OCIGC_CORRUPT && !is_manifest)
        return true;
    memcpy(reader->corrupt, lookup.text, lookup.length);
    reader->corrupt[lookup.length] = '\0';
    return fail(reader, code);
}

/* Looks up where the last edge leads. false: reader->code says why. */
static bool finish_lookup(struct ocigc_reader *reader)
{
    struct ocigc_lookup *lookup = &reader->lookup;
    if (!lookup->is_open)
        return true;
    lookup->is_open = false;
    uint32_t target = ocigc_store_find_digest(reader->store, &lookup->digest, lookup->text, lookup->length);
    reader->targets[reader->edge_count - 1] = target;
    bool has_data = lookup->data.length > 0 && lookup->role != OCIGC_ROLE_SUBJECT &&
                    ocigc_embedded_media(lookup->role, lookup->media) != OCIGC_MEDIA_LAYER;
    bool is_missing = target == UINT32_MAX && !has_data;
    if (target == UINT32_MAX && has_data && !read_data(reader, &is_missing))
        return false;
    if ((reader->store->graph->record & OCIGC_RECORD_DESCRIPTORS) == 0)
        return true;
    if (target == UINT32_MAX)
        return !is_missing || record_missing(reader) || fail(reader, OCIGC_NO_MEMORY);
    bool wrong = lookup->size >= 0 && (uint64_t)lookup->size != ocigc_store_size(reader->store, target);
    return !wrong || record_wrong_size(reader, target) || fail(reader, OCIGC_NO_MEMORY);
}

static bool add_edge(struct ocigc_reader *reader, const struct ocigc_found_descriptor *found, uint8_t kind)
{
    if (!finish_lookup(reader))
        return false;
    uint32_t count = reader->edge_count;
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, count, 1, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, count, 1, sizeof *reader->kinds))
        return fail(reader, OCIGC_NO_MEMORY);
    ocigc_store_prefetch(reader->store, &found->binary);
    struct ocigc_lookup *lookup = &reader->lookup;
    lookup->is_open = true;
    lookup->digest = found->binary;
    lookup->length = found->digest_length;
    lookup->size = found->size;
    lookup->role = found->role;
    lookup->media = found->media;
    lookup->is_foreign = (reader->store->graph->record & OCIGC_RECORD_DESCRIPTORS) != 0 &&
                         ocigc_media_is_foreign(found->media_type, found->media_type_length);
    lookup->bytes = found->bytes;
    lookup->data = found->data;
    memcpy(lookup->text, found->digest, found->digest_length);
    reader->targets[count] = UINT32_MAX;
    reader->kinds[count] = kind;
    reader->edge_count++;
    return true;
}

static int add_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    return add_edge(context, found, ocigc_kind_of_edge(found->role, found->media)) ? 0 : -1;
}

static int add_embedded(void *context, const struct ocigc_found_descriptor *found)
{
    struct ocigc_reader *reader = context;
    int32_t media = ocigc_embedded_media(found->role, found->media);
    if (found->role == OCIGC_ROLE_SUBJECT)
        return 0;
    if (!add_edge(reader, found, ocigc_kind_of_edge(OCIGC_ROLE_EMBEDDED, media)))
        return -1;
    reader->lookup.data.length = 0; /* ocigc_embedded_scan reads it next */
    return 0;
}

/* Brings the edges from `first` on, which are in document order, into the order of their roles. */
static bool order_by_role(struct ocigc_reader *reader, uint32_t first)
{
    uint32_t end = reader->edge_count, count = end - first;
    uint32_t i = first + 1;
    while (i < end && ocigc_edge_role(reader->kinds[i - 1]) <= ocigc_edge_role(reader->kinds[i]))
        i++;
    if (i >= end)
        return true;
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, end, count, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, end, count, sizeof *reader->kinds))
        return false;
    uint32_t place = end;
    for (int32_t role = OCIGC_ROLE_CONFIG; role <= OCIGC_ROLE_EMBEDDED; role++) {
        for (i = first; i < end; i++) {
            if (ocigc_edge_role(reader->kinds[i]) != role)
                continue;
            reader->targets[place] = reader->targets[i];
            reader->kinds[place++] = reader->kinds[i];
        }
    }
    memmove(reader->targets + first, reader->targets + end, count * sizeof *reader->targets);
    memmove(reader->kinds + first, reader->kinds + end, count * sizeof *reader->kinds);
    return true;
}

/* --------------------------------------------------------------- documents */

static int32_t fail_at(const struct ocigc_reader *reader, const char *what, int32_t code, const char *reason,
                       struct ocigc_error *error)
{
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
    ocigc_store_digest(reader->store, reader->node, digest);
    return ocigc_fail(error, code, "%s %s: %s", what, digest, reason);
}

static const char *name_of(int32_t media)
{
    return media == OCIGC_MEDIA_INDEX ? "index" : media == OCIGC_MEDIA_MANIFEST ? "manifest" : "document";
}

/* Parses the buffer, and claims what it refers to. Nothing is kept of a document that cannot be parsed. */
static int32_t parse(struct ocigc_reader *reader, int32_t media, struct ocigc_error *error)
{
    uint32_t first = reader->edge_count, missing = reader->missing_count, wrong_sizes = reader->wrong_size_count;
    uint32_t missing_text = reader->missing_text_length;
    int32_t shape;
    struct ocigc_error cause = {0};
    reader->code = OCIGC_OK;
    int32_t code =
        ocigc_document_scan(reader->buffer.bytes, reader->buffer.length, media, add_descriptor, reader, &shape, &cause);
    if (code == OCIGC_OK && finish_lookup(reader)) {
        bool ok = order_by_role(reader, first) && claim_edges(reader, first);
        return ok ? OCIGC_OK : ocigc_fail_memory(error);
    }
    reader->lookup.is_open = false;
    reader->edge_count = first;
    reader->missing_count = missing;
    reader->missing_text_length = missing_text;
    reader->wrong_size_count = wrong_sizes;
    if (reader->code == OCIGC_CORRUPT) {
        char reason[sizeof reader->corrupt + 64];
        snprintf(reason, sizeof reason, "the data of %s is not what its digest says", reader->corrupt);
        return fail_at(reader, name_of(media), OCIGC_CORRUPT, reason, error);
    }
    if (reader->code != OCIGC_OK || code == OCIGC_NO_MEMORY)
        return ocigc_fail_memory(error);
    fail_at(reader, name_of(media), code, cause.message, error);
    error->offset = cause.offset;
    return code;
}

static int32_t load_and_check(struct ocigc_reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    struct ocigc_graph *graph = reader->store->graph;
    bool is_verified = (ocigc_graph_flags(graph, content->node) & OCIGC_NODE_VERIFIED) != 0;
    int32_t code = ocigc_content_load(content, error);
    if (code == OCIGC_OK)
        code = ocigc_content_check(content, is_verified, error);
    bool is_new = graph->sound != NULL && content->checked && content->blob.file >= 0 && !is_verified;
    if (is_new && ocigc_blob_unchanged(reader->store, content->node, &content->blob.status))
        ocigc_graph_set_sound(graph, content->node, reader->buffer.bytes, reader->buffer.length);
    return code;
}

static int32_t fail_limit(const struct ocigc_reader *reader, const struct ocigc_content *content, int32_t media,
                          struct ocigc_error *error)
{
    char reason[32] = "not JSON"; /* all that begins like JSON is kept */
    if ((uint64_t)content->blob.status.st_size > OCIGC_MANIFEST_LIMIT)
        snprintf(reason, sizeof reason, "over %u MiB", OCIGC_MANIFEST_LIMIT >> 20);
    return fail_at(reader, name_of(media), OCIGC_MALFORMED, reason, error);
}

static int32_t read_strict(struct ocigc_reader *reader, struct ocigc_content *content, int32_t media,
                           struct ocigc_error *error)
{
    if (ocigc_content_is_out_of_reach(content))
        return fail_limit(reader, content, media, error);
    int32_t code = load_and_check(reader, content, error);
    return code == OCIGC_OK ? parse(reader, media, error) : code;
}

/* What is loaded, of unknown form: if it cannot be parsed, it is a leaf. */
static int32_t parse_leniently(struct ocigc_reader *reader, struct ocigc_error *error)
{
    int32_t code = parse(reader, OCIGC_MEDIA_JSON, error);
    return code == OCIGC_MALFORMED ? OCIGC_OK : code;
}

/* Edges from anything that can be parsed, sound or not: keep rather than lose. */
static int32_t read_unverified(struct ocigc_reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    bool may_be = false;
    if (ocigc_content_is_out_of_reach(content))
        return OCIGC_OK;
    int32_t code = ocigc_content_may_be_object(content, &may_be, error);
    if (code == OCIGC_OK && may_be)
        code = ocigc_content_load(content, error);
    if (code == OCIGC_OK && may_be)
        code = parse_leniently(reader, error);
    return code == OCIGC_CORRUPT ? OCIGC_OK : code; /* it is an embedded document that is corrupt */
}

static int32_t read_json(struct ocigc_reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    if (ocigc_content_is_out_of_reach(content))
        return fail_limit(reader, content, OCIGC_MEDIA_JSON, error);
    int32_t code = load_and_check(reader, content, error);
    return code == OCIGC_OK ? parse_leniently(reader, error) : code;
}

static int ignore_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    (void)context;
    (void)found;
    return 0;
}

/* Its media type does not say what it is, so its content does, once it is known to be sound. */
static int32_t read_detected(struct ocigc_reader *reader, struct ocigc_content *content, struct ocigc_error *error)
{
    struct ocigc_graph *graph = reader->store->graph;
    int32_t shape = OCIGC_SHAPE_NONE;
    if (ocigc_content_is_out_of_reach(content))
        return OCIGC_OK;
    int32_t code = load_and_check(reader, content, error);
    if (code != OCIGC_OK)
        return code;
    code = ocigc_document_scan(reader->buffer.bytes, reader->buffer.length, OCIGC_MEDIA_NONE, ignore_descriptor, NULL,
                               &shape, error);
    if (code != OCIGC_OK)
        return code == OCIGC_MALFORMED ? OCIGC_OK : code;
    if (shape == OCIGC_SHAPE_NONE)
        return parse_leniently(reader, error);
    uint32_t claim = shape == OCIGC_SHAPE_MANIFEST ? OCIGC_NODE_MANIFEST : OCIGC_NODE_INDEX;
    uint32_t taken = claim << OCIGC_NODE_TAKEN_SHIFT;
    if (ocigc_graph_set_flags(graph, content->node, claim | taken) == 0)
        return OCIGC_OK; /* it has been read as what it is */
    code = parse(reader, shape == OCIGC_SHAPE_MANIFEST ? OCIGC_MEDIA_MANIFEST : OCIGC_MEDIA_INDEX, error);
    if (code != OCIGC_OK && (graph->record & OCIGC_RECORD_FAULTS) == 0)
        ocigc_graph_clear_flags(graph, content->node, claim | taken);
    return code;
}

int32_t ocigc_reader_read(struct ocigc_reader *reader, uint32_t node, uint32_t claims, struct ocigc_error *error)
{
    struct ocigc_content content;
    reader->node = node;
    int32_t code = ocigc_content_open(&content, reader->store, node, &reader->opened, &reader->buffer, error);
    if (code != OCIGC_OK)
        return code;
    ocigc_content_keep_status(&content, reader->store);
    if (claims & OCIGC_NODE_MANIFEST)
        code = read_strict(reader, &content, OCIGC_MEDIA_MANIFEST, error);
    if (code == OCIGC_OK && claims & OCIGC_NODE_INDEX)
        code = read_strict(reader, &content, OCIGC_MEDIA_INDEX, error);
    if (code == OCIGC_OK && claims & OCIGC_NODE_JSON)
        code = read_json(reader, &content, error);
    if (code == OCIGC_OK && claims & OCIGC_NODE_LENIENT)
        code = read_unverified(reader, &content, error);
    if (code == OCIGC_OK && claims & OCIGC_NODE_DETECT)
        code = read_detected(reader, &content, error);
    ocigc_progress_add(reader->progress, 0, content.loaded ? reader->buffer.length : 0);
    ocigc_content_close(&content);
    return code;
}
