/* document.c - manifests and indexes, read strictly: a document that two readers could read differently is refused. */

#include "json/document.h"
#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct ocigc_json *json;
    ocigc_descriptor_sink sink;
    void *context;
};

const char *ocigc_json_size(const struct ocigc_json_string *number, int64_t *size)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < number->length; i++) {
        char c = number->bytes[i];
        if (c == '-')
            return "a size that is negative";
        if (c < '0' || c > '9')
            return "a size that is not a plain integer";
        if (value > (INT64_MAX - (uint64_t)(c - '0')) / 10)
            return "a size over 2^63-1";
        value = value * 10 + (uint64_t)(c - '0');
    }
    *size = (int64_t)value;
    return NULL;
}

/* Whether some readers (Go's encoding/json among them) would take the key for one of `names` and others would not. */
static bool is_ambiguous(const struct ocigc_json_string *key, const char *const *names)
{
    for (; *names != NULL; names++)
        if (ocigc_json_equals_folded(key, *names))
            return true;
    return false;
}

static bool skip_unless_ambiguous(struct ocigc_json *json, const struct ocigc_json_string *key,
                                  const char *const *names)
{
    if (is_ambiguous(key, names))
        return ocigc_json_fail(json, "a key that differs only in case from one that has a meaning");
    return ocigc_json_skip(json);
}

static bool skip_null(struct ocigc_json *json, bool *was_null)
{
    *was_null = ocigc_json_peek(json) == 'n';
    return !*was_null || ocigc_json_skip(json);
}

static bool skip_to_end(struct ocigc_json *json, struct ocigc_span *value)
{
    ocigc_json_peek(json);
    value->start = (uint32_t)json->position;
    bool ok = ocigc_json_skip(json);
    value->length = (uint32_t)json->position - value->start;
    return ok;
}

static bool skip_data(struct ocigc_json *json, struct ocigc_span *value)
{
    bool was_null;
    return skip_null(json, &was_null) && (was_null || skip_to_end(json, value));
}

static bool read_descriptor(struct reader *reader, int32_t role)
{
    static const char *const names[] = {"digest", "mediaType", "size", NULL};
    struct ocigc_json *json = reader->json;
    struct ocigc_json_string key, digest = {0}, media_type = {0}, number = {0};
    if (!ocigc_json_enter_object(json))
        return ocigc_json_fail(json, "expected a descriptor");
    size_t start = json->position - 1;
    struct ocigc_found_descriptor found = {.role = role, .bytes = json->bytes};
    int more;
    while ((more = ocigc_json_next_member(json, &key)) == 1) {
        bool ok = ocigc_json_equals(&key, "digest")        ? ocigc_json_read_string(json, &digest)
                  : ocigc_json_equals(&key, "mediaType")   ? ocigc_json_read_string(json, &media_type)
                  : ocigc_json_equals(&key, "size")        ? ocigc_json_read_number(json, &number)
                  : ocigc_json_equals(&key, "annotations") ? skip_to_end(json, &found.annotations)
                  : ocigc_json_equals(&key, "data")        ? skip_data(json, &found.data)
                                                           : skip_unless_ambiguous(json, &key, names);
        if (!ok)
            return false;
    }
    if (more < 0)
        return false;

    if (digest.bytes == NULL)
        return ocigc_json_fail(json, "a descriptor without a digest");
    if (number.bytes == NULL)
        return ocigc_json_fail(json, "a descriptor without a size");
    const char *wrong = ocigc_json_size(&number, &found.size);
    if (wrong != NULL)
        return ocigc_json_fail(json, wrong);
    char digest_text[OCIGC_DIGEST_TEXT_MAX];
    size_t digest_length = ocigc_json_decode(&digest, digest_text, sizeof digest_text);
    if (digest_length == SIZE_MAX || !ocigc_digest_read(digest_text, digest_length, &found.binary))
        return ocigc_json_fail(json, "an invalid digest");
    char media_text[256];
    size_t media_length = ocigc_json_decode(&media_type, media_text, sizeof media_text);
    if (media_length == SIZE_MAX)
        return ocigc_json_fail(json, "a mediaType of over 255 bytes");
    found.media = ocigc_media_of(media_text, media_length);
    found.object = (struct ocigc_span){(uint32_t)start, (uint32_t)(json->position - start)};
    found.media_type = media_text;
    found.media_type_length = (uint32_t)media_length;
    found.digest = digest_text;
    found.digest_length = (uint32_t)digest_length;
    return reader->sink(reader->context, &found) == 0 || ocigc_json_fail_memory(json);
}

/* A descriptor or null; sets `present` for a descriptor. */
static bool read_one(struct reader *reader, int32_t role, bool *present)
{
    bool was_null;
    if (!skip_null(reader->json, &was_null) || was_null)
        return was_null && reader->json->reason == NULL;
    *present = true;
    return read_descriptor(reader, role);
}

/* An array of descriptors or null. */
static bool read_many(struct reader *reader, int32_t role, bool *present)
{
    struct ocigc_json *json = reader->json;
    bool was_null;
    if (!skip_null(json, &was_null) || was_null)
        return was_null && json->reason == NULL;
    *present = true;
    if (!ocigc_json_enter_array(json))
        return false;
    int more;
    while ((more = ocigc_json_next_element(json)) == 1)
        if (!read_descriptor(reader, role))
            return false;
    return more == 0;
}

static bool read_version(struct ocigc_json *json)
{
    struct ocigc_json_string number;
    if (!ocigc_json_read_number(json, &number))
        return ocigc_json_fail(json, "a schemaVersion that is not a number");
    if (ocigc_json_equals(&number, "1"))
        return ocigc_json_fail(json, "schemaVersion 1, which has no descriptors");
    return ocigc_json_equals(&number, "2") || ocigc_json_fail(json, "a schemaVersion that is not 2");
}

static bool read_media_type(struct ocigc_json *json, int32_t *media)
{
    struct ocigc_json_string string;
    bool was_null;
    if (!skip_null(json, &was_null) || was_null)
        return was_null && json->reason == NULL;
    if (!ocigc_json_read_string(json, &string))
        return false;
    char text[256];
    size_t length = ocigc_json_decode(&string, text, sizeof text);
    if (length == SIZE_MAX)
        return ocigc_json_fail(json, "a mediaType of over 255 bytes");
    *media = ocigc_media_of(text, length);
    return true;
}

bool ocigc_strict_scan(struct ocigc_json *json, int32_t media, ocigc_descriptor_sink sink, void *context,
                       int32_t *shape)
{
    static const char *const names[] = {"schemaVersion", "mediaType", "config",   "layers", "blobs",
                                        "manifests",     "subject",   "fsLayers", NULL};
    struct reader reader = {json, sink, context};
    struct ocigc_json_string key;
    int32_t own_media = OCIGC_MEDIA_NONE;
    bool as_manifest = false, as_index = false, has_subject = false, was_null = true;
    if (!ocigc_json_enter_object(json))
        return false;
    int more;
    while ((more = ocigc_json_next_member(json, &key)) == 1) {
        bool ok;
        if (ocigc_json_equals(&key, "config")) {
            ok = read_one(&reader, OCIGC_ROLE_CONFIG, &as_manifest);
        } else if (ocigc_json_equals(&key, "layers")) {
            ok = read_many(&reader, OCIGC_ROLE_LAYER, &as_manifest);
        } else if (ocigc_json_equals(&key, "blobs")) {
            ok = read_many(&reader, OCIGC_ROLE_BLOB, &as_manifest);
        } else if (ocigc_json_equals(&key, "manifests")) {
            ok = read_many(&reader, OCIGC_ROLE_MANIFEST, &as_index);
        } else if (ocigc_json_equals(&key, "subject")) {
            ok = read_one(&reader, OCIGC_ROLE_SUBJECT, &has_subject);
        } else if (ocigc_json_equals(&key, "schemaVersion")) {
            ok = read_version(json);
        } else if (ocigc_json_equals(&key, "mediaType")) {
            ok = read_media_type(json, &own_media);
        } else if (ocigc_json_equals(&key, "fsLayers")) {
            ok = skip_null(json, &was_null) && (was_null || ocigc_json_fail(json, "fsLayers, as of schema 1"));
        } else {
            ok = skip_unless_ambiguous(json, &key, names);
        }
        if (!ok)
            return false;
    }
    if (more < 0)
        return false;
    if (!ocigc_json_end(json))
        return ocigc_json_fail(json, "unexpected content after the document");
    if (as_manifest && as_index)
        return ocigc_json_fail(json, "both a manifest and an index");
    if (media == OCIGC_MEDIA_INDEX && (as_manifest || own_media == OCIGC_MEDIA_MANIFEST))
        return ocigc_json_fail(json, "a manifest where an index has to be");
    if (media == OCIGC_MEDIA_MANIFEST && (as_index || own_media == OCIGC_MEDIA_INDEX))
        return ocigc_json_fail(json, "an index where a manifest has to be");
    *shape = as_manifest ? OCIGC_SHAPE_MANIFEST : as_index ? OCIGC_SHAPE_INDEX : OCIGC_SHAPE_NONE;
    return true;
}

int32_t ocigc_document_scan(const char *bytes, size_t length, int32_t media, ocigc_descriptor_sink sink, void *context,
                            int32_t *shape, struct ocigc_error *error)
{
    bool strict = media == OCIGC_MEDIA_MANIFEST || media == OCIGC_MEDIA_INDEX;
    struct ocigc_json json;
    ocigc_json_open(&json, bytes, length, strict);
    *shape = OCIGC_SHAPE_NONE;
    bool ok = json.reason == NULL && (strict ? ocigc_strict_scan(&json, media, sink, context, shape)
                                             : ocigc_lenient_scan(&json, sink, context, shape));
    int32_t code = ok ? OCIGC_OK : ocigc_json_is_out_of_memory(&json) ? OCIGC_NO_MEMORY : OCIGC_MALFORMED;
    if (!ok) {
        if (json.duplicate[0] != '\0')
            ocigc_fail(error, code, "%s \"%s\"", json.reason, json.duplicate);
        else
            ocigc_fail(error, code, "%s", json.reason);
        if (error != NULL)
            error->offset = json.position;
    }
    ocigc_json_close(&json);
    return code;
}

/* ------------------------------------------------------------------ collected */

/* A document that grows; the public part is filled in at the end. */
struct builder {
    struct ocigc_document document;
    struct ocigc_descriptor *descriptors;
    char *text;
    uint32_t count, capacity;
    uint32_t text_length, text_capacity;
};

static struct ocigc_span keep_text(struct builder *builder, const char *text, uint32_t length)
{
    struct ocigc_span span = {builder->text_length, length};
    memcpy(builder->text + builder->text_length, text, length);
    builder->text_length += length;
    return span;
}

static int collect(void *context, const struct ocigc_found_descriptor *found)
{
    struct builder *builder = context;
    uint32_t more_text = found->digest_length + found->media_type_length; /* both are short */
    if (!ocigc_reserve(&builder->descriptors, &builder->capacity, builder->count, 1, sizeof *builder->descriptors) ||
        !ocigc_reserve(&builder->text, &builder->text_capacity, builder->text_length, more_text, 1))
        return -1;
    builder->descriptors[builder->count++] = (struct ocigc_descriptor){
        .role = found->role,
        .media = found->media,
        .size = found->size,
        .object = found->object,
        .media_type = keep_text(builder, found->media_type, found->media_type_length),
        .digest = keep_text(builder, found->digest, found->digest_length),
    };
    return 0;
}

/* By role, then in document order. */
static int compare_descriptors(const void *left, const void *right)
{
    const struct ocigc_descriptor *a = left;
    const struct ocigc_descriptor *b = right;
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    return (a->object.start > b->object.start) - (a->object.start < b->object.start);
}

int32_t ocigc_document_parse(const char *bytes, size_t length, int32_t media, struct ocigc_document **document,
                             struct ocigc_error *error)
{
    struct builder *builder = calloc(1, sizeof *builder);
    if (builder == NULL)
        return ocigc_fail_memory(error);
    int32_t code = ocigc_document_scan(bytes, length, media, collect, builder, &builder->document.shape, error);
    if (code != OCIGC_OK) {
        ocigc_document_free(&builder->document);
        return code;
    }
    if (builder->count > 1)
        qsort(builder->descriptors, builder->count, sizeof *builder->descriptors, compare_descriptors);
    builder->document.descriptors = builder->descriptors;
    builder->document.count = builder->count;
    builder->document.text = builder->text;
    builder->document.text_length = builder->text_length;
    *document = &builder->document;
    return OCIGC_OK;
}

void ocigc_document_free(struct ocigc_document *document)
{
    struct builder *builder = (struct builder *)document; /* its first member */
    if (builder == NULL)
        return;
    free(builder->descriptors);
    free(builder->text);
    free(builder);
}
