/* lenient.c - documents of unknown form: every descriptor in them counts, wherever it is. Keep rather than lose. */

#include "json/document.h"

#include <stdlib.h>
#include <string.h>

/* An object that is open. */
struct frame {
    size_t start;
    struct ocigc_json_string digest;
    struct ocigc_json_string media_type;
    struct ocigc_span data;
    int64_t size;
    bool is_subject;
};

struct search {
    struct ocigc_json *json;
    ocigc_descriptor_sink sink;
    void *context;
    bool has_config, has_layers, has_manifests;
    int32_t own_media;
    struct frame *frames; /* by depth; too large for the stack of every thread */
};

static bool emit(struct search *search, const struct frame *frame, const struct ocigc_json_string *digest)
{
    char digest_text[OCIGC_DIGEST_TEXT_MAX];
    char media_text[256];
    if (digest->bytes == NULL)
        return true;
    size_t digest_length = ocigc_json_decode(digest, digest_text, sizeof digest_text);
    struct ocigc_found_descriptor found = {
        .role = frame->is_subject ? OCIGC_ROLE_SUBJECT : OCIGC_ROLE_FOUND,
        .size = frame->size,
        .object = {(uint32_t)frame->start, (uint32_t)(search->json->position - frame->start)},
        .bytes = search->json->bytes,
        .data = frame->data,
        .media_type = media_text,
        .digest = digest_text,
        .digest_length = (uint32_t)digest_length,
    };
    if (digest_length == SIZE_MAX || !ocigc_digest_read(digest_text, digest_length, &found.binary))
        return true;
    size_t media_length = ocigc_json_decode(&frame->media_type, media_text, sizeof media_text);
    if (media_length == SIZE_MAX)
        media_length = 0;
    found.media = ocigc_media_of(media_text, media_length);
    found.media_type_length = (uint32_t)media_length;
    return search->sink(search->context, &found) == 0 || ocigc_json_fail_memory(search->json);
}

static void note_form(struct search *search, const struct ocigc_json_string *key, char value)
{
    search->has_config |= value == '{' && ocigc_json_equals(key, "config");
    search->has_layers |= value == '[' && ocigc_json_equals(key, "layers");
    search->has_manifests |= value == '[' && ocigc_json_equals(key, "manifests");
}

/* Reads a member's value, unless it is an object or array: the caller enters those. */
static bool read_member(struct search *search, const struct ocigc_json_string *key, char value)
{
    struct ocigc_json *json = search->json;
    struct frame *frame = &search->frames[json->depth];
    struct ocigc_json_string string;
    if (json->depth == 1)
        note_form(search, key, value);
    if (value == '{' || value == '[')
        return true;
    if (value == '"' && ocigc_json_equals(key, "digest")) {
        /* Another reader may take the second one, so both count. */
        return emit(search, frame, &frame->digest) && ocigc_json_read_string(json, &frame->digest);
    }
    if (value == '"' && ocigc_json_equals(key, "data")) {
        frame->data.start = (uint32_t)json->position;
        if (!ocigc_json_read_string(json, &string))
            return false;
        frame->data.length = (uint32_t)json->position - frame->data.start;
        return true;
    }
    if (value == '"' && ocigc_json_equals(key, "blobSum"))
        return ocigc_json_read_string(json, &string) &&
               emit(search, &(struct frame){.start = frame->start, .size = -1}, &string);
    if (value == '"' && ocigc_json_equals(key, "mediaType")) {
        if (!ocigc_json_read_string(json, &frame->media_type))
            return false;
        char text[256];
        size_t length = ocigc_json_decode(&frame->media_type, text, sizeof text);
        if (json->depth == 1 && length != SIZE_MAX)
            search->own_media = ocigc_media_of(text, length);
        return true;
    }
    if (value != '"' && ocigc_json_equals(key, "size") && (value == '-' || (value >= '0' && value <= '9'))) {
        int64_t size = -1;
        if (!ocigc_json_read_number(json, &string))
            return false;
        frame->size = ocigc_json_size(&string, &size) == NULL ? size : -1;
        return true;
    }
    return ocigc_json_skip(json);
}

/* Enters the next value if it is an object or array, else skips it. */
static bool read_value(struct search *search, bool is_subject)
{
    struct ocigc_json *json = search->json;
    char value = ocigc_json_peek(json);
    if (value == '[')
        return ocigc_json_enter_array(json);
    if (value != '{')
        return ocigc_json_skip(json);
    if (!ocigc_json_enter_object(json))
        return false;
    search->frames[json->depth] = (struct frame){.start = json->position - 1, .size = -1, .is_subject = is_subject};
    return true;
}

static bool scan(struct search *search)
{
    struct ocigc_json *json = search->json;
    bool ok = read_value(search, false);
    while (ok && json->depth > 0) {
        uint32_t depth = json->depth;
        struct ocigc_json_string key;
        if (!json->is_object[depth]) {
            int more = ocigc_json_next_element(json);
            ok = more == 0 || (more == 1 && read_value(search, false));
            continue;
        }
        int more = ocigc_json_next_member(json, &key);
        if (more == 0) {
            ok = emit(search, &search->frames[depth], &search->frames[depth].digest);
        } else {
            char value = more == 1 ? ocigc_json_peek(json) : '\0';
            ok = more == 1 && read_member(search, &key, value);
            if (ok && (value == '{' || value == '['))
                ok = read_value(search, depth == 1 && ocigc_json_equals(&key, "subject"));
        }
    }
    return ok && (ocigc_json_end(json) || ocigc_json_fail(json, "unexpected content after the document"));
}

bool ocigc_lenient_scan(struct ocigc_json *json, ocigc_descriptor_sink sink, void *context, int32_t *shape)
{
    struct search search = {.json = json, .sink = sink, .context = context, .own_media = OCIGC_MEDIA_NONE};
    search.frames = malloc((OCIGC_JSON_DEPTH + 1) * sizeof *search.frames);
    if (search.frames == NULL)
        return ocigc_json_fail_memory(json);
    bool ok = scan(&search);
    free(search.frames);
    if (!ok)
        return false;
    if (search.own_media == OCIGC_MEDIA_MANIFEST || (search.has_config && search.has_layers))
        *shape = OCIGC_SHAPE_MANIFEST;
    else if (search.own_media == OCIGC_MEDIA_INDEX || search.has_manifests)
        *shape = OCIGC_SHAPE_INDEX;
    return true;
}
