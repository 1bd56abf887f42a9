/* Documents of unknown form, looked into: every descriptor in them counts, wherever it stands. Keep rather than lose. */

#include "json/document.h"

#include <string.h>

/* What is known of an object that is open. */
struct frame {
    size_t start;
    struct ocigc_json_string digest;
    struct ocigc_json_string media_type;
    int64_t size;
    bool is_subject;
};

struct look {
    struct ocigc_json *json;
    ocigc_descriptor_sink sink;
    void *context;
    bool has_config, has_layers, has_manifests;
    int32_t own_media;
    struct frame frames[OCIGC_JSON_DEPTH + 1];
};

static bool emit(struct look *look, const struct frame *frame, const struct ocigc_json_string *digest)
{
    char digest_text[OCIGC_DIGEST_TEXT_MAX];
    char media_text[256];
    if (digest->bytes == NULL)
        return true;
    size_t digest_length = ocigc_json_decode(digest, digest_text, sizeof digest_text);
    struct ocigc_found_descriptor found = {
        .role = frame->is_subject ? OCIGC_ROLE_SUBJECT : OCIGC_ROLE_FOUND,
        .size = frame->size,
        .object = {(uint32_t)frame->start, (uint32_t)(look->json->position - frame->start)},
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
    return look->sink(look->context, &found) == 0 || ocigc_json_fail(look->json, "out of memory");
}

static void note_form(struct look *look, const struct ocigc_json_string *key, char value)
{
    look->has_config |= value == '{' && ocigc_json_equals(key, "config");
    look->has_layers |= value == '[' && ocigc_json_equals(key, "layers");
    look->has_manifests |= value == '[' && ocigc_json_equals(key, "manifests");
}

/* A member's value, unless it is an object or array: then it is left to be entered. */
static bool read_member(struct look *look, const struct ocigc_json_string *key, char value)
{
    struct ocigc_json *json = look->json;
    struct frame *frame = &look->frames[json->depth];
    struct ocigc_json_string string;
    if (json->depth == 1)
        note_form(look, key, value);
    if (value == '{' || value == '[')
        return true;
    if (value == '"' && ocigc_json_equals(key, "digest")) {
        /* A second one may be what another reader takes: it counts too. */
        return emit(look, frame, &frame->digest) && ocigc_json_read_string(json, &frame->digest);
    }
    if (value == '"' && ocigc_json_equals(key, "blobSum"))
        return ocigc_json_read_string(json, &string) && emit(look, &(struct frame){.start = frame->start, .size = -1}, &string);
    if (value == '"' && ocigc_json_equals(key, "mediaType")) {
        if (!ocigc_json_read_string(json, &frame->media_type))
            return false;
        char text[256];
        size_t length = ocigc_json_decode(&frame->media_type, text, sizeof text);
        if (json->depth == 1 && length != SIZE_MAX)
            look->own_media = ocigc_media_of(text, length);
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

/* Enters what comes next if it is an object or array; skips it otherwise. */
static bool read_value(struct look *look, bool is_subject)
{
    struct ocigc_json *json = look->json;
    char value = ocigc_json_peek(json);
    if (value == '[')
        return ocigc_json_enter_array(json);
    if (value != '{')
        return ocigc_json_skip(json);
    if (!ocigc_json_enter_object(json))
        return false;
    look->frames[json->depth] = (struct frame){.start = json->position - 1, .size = -1, .is_subject = is_subject};
    return true;
}

bool ocigc_lenient_scan(struct ocigc_json *json, ocigc_descriptor_sink sink, void *context, int32_t *shape)
{
    struct look look;
    look.json = json;
    look.sink = sink;
    look.context = context;
    look.has_config = look.has_layers = look.has_manifests = false;
    look.own_media = OCIGC_MEDIA_NONE;
    bool well = read_value(&look, false);
    while (well && json->depth > 0) {
        uint32_t depth = json->depth;
        struct ocigc_json_string key;
        if (!json->is_object[depth]) {
            int more = ocigc_json_next_element(json);
            well = more == 0 || (more == 1 && read_value(&look, false));
            continue;
        }
        int more = ocigc_json_next_member(json, &key);
        if (more == 0) {
            well = emit(&look, &look.frames[depth], &look.frames[depth].digest);
        } else {
            char value = more == 1 ? ocigc_json_peek(json) : '\0';
            well = more == 1 && read_member(&look, &key, value);
            if (well && (value == '{' || value == '['))
                well = read_value(&look, depth == 1 && ocigc_json_equals(&key, "subject"));
        }
    }
    if (!well)
        return false;
    if (!ocigc_json_end(json))
        return ocigc_json_fail(json, "something stands behind the document");
    if (look.own_media == OCIGC_MEDIA_MANIFEST || (look.has_config && look.has_layers))
        *shape = OCIGC_SHAPE_MANIFEST;
    else if (look.own_media == OCIGC_MEDIA_INDEX || look.has_manifests)
        *shape = OCIGC_SHAPE_INDEX;
    return true;
}
