/* index.json: what a store needs of each entry, in 40 bytes and its text, as there may be a million of them. */

#include "base/vector.h"
#include "json/embedded.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* The records of an entry take many times the memory of its bytes. */
    ENTRIES = 1 << 21,
    ENTRY_LIMIT = 1 << 20, /* bytes */
    TYPES_SEARCHED = 8,    /* media types from the last on in which one is looked for */
};

static const char CREATED[] = "org.opencontainers.image.created";
static const char SUBJECT[] = "io.containerd.manifest.subject";
static const char KIND[] = "kind";
/* The first that is present and not empty is the name. */
static const char *const NAMES[] = {"io.containerd.image.name", "org.opencontainers.image.ref.name",
                                    "org.opencontainers.image.base.name"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };

/* An index that grows; the public part is filled in at the end. */
struct builder {
    struct ocigc_index index;
    struct ocigc_entry *entries;
    uint32_t count, capacity;
    struct ocigc_reference *references;
    uint32_t reference_count, reference_capacity;
    struct ocigc_span *media_types;
    uint32_t media_type_count, media_type_capacity;
    char *text;
    uint32_t text_length, text_capacity;
};

struct reader {
    struct builder *index;
    const char *bytes;
    struct ocigc_error *error;
    int32_t code; /* OCIGC_OK where nothing but the document itself is wrong */
};

/* What the annotations of one entry say, as written in the file. */
struct annotations {
    struct ocigc_json_string names[NAME_COUNT];
    struct ocigc_json_string created;
};

static int32_t no_memory(struct reader *reader)
{
    return reader->code = ocigc_fail(reader->error, OCIGC_NO_MEMORY, "out of memory");
}

static int32_t refuse(struct reader *reader, const char *what)
{
    return reader->code = ocigc_fail(reader->error, OCIGC_MALFORMED, "manifests[%u]: %s", reader->index->count, what);
}

/* -------------------------------------------------------------------- text */

/* Room for `length` more bytes of text; NULL: no memory. */
static char *room(struct builder *index, uint32_t length)
{
    bool ok = ocigc_reserve(&index->text, &index->text_capacity, index->text_length, length, 1);
    return ok ? index->text + index->text_length : NULL;
}

static int32_t keep_bytes(struct reader *reader, const char *bytes, uint32_t length)
{
    if (length == 0)
        return OCIGC_OK;
    char *text = room(reader->index, length);
    if (text == NULL)
        return no_memory(reader);
    memcpy(text, bytes, length);
    reader->index->text_length += length;
    return OCIGC_OK;
}

static int32_t keep_string(struct reader *reader, const struct ocigc_json_string *string, uint32_t *length)
{
    *length = 0;
    if (string->length == 0)
        return OCIGC_OK;
    char *text = room(reader->index, string->length);
    if (text == NULL)
        return no_memory(reader);
    *length = (uint32_t)ocigc_json_decode(string, text, string->length);
    reader->index->text_length += *length;
    return OCIGC_OK;
}

static int32_t keep_digest(struct reader *reader, const struct ocigc_found_descriptor *found, uint16_t *length)
{
    uint8_t binary[1 + sizeof found->binary.bytes];
    uint32_t width = ocigc_algorithm_width(found->binary.algorithm);
    if (found->binary.algorithm == OCIGC_ALGORITHM_OTHER) {
        *length = (uint16_t)found->digest_length;
        return keep_bytes(reader, found->digest, found->digest_length);
    }
    binary[0] = (uint8_t)found->binary.algorithm;
    memcpy(binary + 1, found->binary.bytes, width);
    *length = (uint16_t)(1 + width);
    return keep_bytes(reader, (const char *)binary, 1 + width);
}

static int32_t keep_media_type(struct reader *reader, const struct ocigc_found_descriptor *found, uint32_t *number)
{
    struct builder *index = reader->index;
    uint32_t last = index->media_type_count;
    for (*number = last; *number > 0 && last - *number < TYPES_SEARCHED;) {
        struct ocigc_span known = index->media_types[--*number];
        if (known.length == found->media_type_length &&
            memcmp(index->text + known.start, found->media_type, known.length) == 0)
            return OCIGC_OK;
    }
    *number = last;
    if (!ocigc_reserve(&index->media_types, &index->media_type_capacity, last, 1, sizeof *index->media_types))
        return no_memory(reader);
    index->media_types[index->media_type_count++] = (struct ocigc_span){index->text_length, found->media_type_length};
    return keep_bytes(reader, found->media_type, found->media_type_length);
}

/* ------------------------------------------------------------- annotations */

static int32_t add_reference(struct reader *reader, struct ocigc_span value, uint8_t kind, int32_t media)
{
    struct builder *index = reader->index;
    if (!ocigc_reserve(&index->references, &index->reference_capacity, index->reference_count, 1,
                       sizeof *index->references))
        return no_memory(reader);
    index->references[index->reference_count++] =
        (struct ocigc_reference){.entry = index->count, .value = value, .kind = kind, .media = (uint8_t)media};
    return OCIGC_OK;
}

static int32_t keep_reference(struct reader *reader, const struct ocigc_json_string *value, uint8_t kind)
{
    struct ocigc_span span = {.start = reader->index->text_length};
    int32_t code = keep_string(reader, value, &span.length);
    return code == OCIGC_OK ? add_reference(reader, span, kind, OCIGC_MEDIA_NONE) : code;
}

/* What a key means as a label. A key that means something has to be recognised even if it has escapes. */
static int32_t meaning_of(struct reader *reader, const struct ocigc_json_string *key, enum ocigc_label_meaning *meaning)
{
    if (!key->escaped) {
        *meaning = ocigc_label_meaning(key->bytes, key->length);
        return OCIGC_OK;
    }
    char *decoded = room(reader->index, key->length); /* overwritten by what is kept next */
    if (decoded == NULL)
        return no_memory(reader);
    *meaning = ocigc_label_meaning(decoded, ocigc_json_decode(key, decoded, key->length));
    return OCIGC_OK;
}

static int32_t add_annotation(struct reader *reader, const struct ocigc_json_string *key,
                              const struct ocigc_json_string *value, struct annotations *found)
{
    enum ocigc_label_meaning meaning = OCIGC_LABEL_MEANS_NOTHING;
    int32_t code = meaning_of(reader, key, &meaning);
    if (code != OCIGC_OK)
        return code;
    if (meaning == OCIGC_LABEL_MEANS_CONTENT)
        return keep_reference(reader, value, OCIGC_REFERENCE_CONTENT);
    if (meaning == OCIGC_LABEL_MEANS_IMAGE)
        return keep_reference(reader, value, OCIGC_REFERENCE_IMAGE);
    if (ocigc_json_equals(key, SUBJECT))
        return keep_reference(reader, value, OCIGC_REFERENCE_SUBJECT);
    if (ocigc_json_equals(key, KIND))
        return keep_reference(reader, value, OCIGC_REFERENCE_KIND);
    for (uint32_t i = 0; i < NAME_COUNT; i++)
        if (ocigc_json_equals(key, NAMES[i]))
            found->names[i] = *value;
    if (ocigc_json_equals(key, CREATED))
        found->created = *value;
    return OCIGC_OK;
}

static int32_t read_annotations(struct reader *reader, struct ocigc_span span, struct annotations *found)
{
    struct ocigc_json json;
    struct ocigc_json_string key, value;
    int32_t code = OCIGC_OK;
    int more = 0;
    ocigc_json_open(&json, reader->bytes + span.start, span.length, false);
    if (ocigc_json_peek(&json) != 'n') {
        bool ok = ocigc_json_peek(&json) == '{' && ocigc_json_enter_object(&json);
        while (ok && code == OCIGC_OK && (more = ocigc_json_next_member(&json, &key)) == 1) {
            ok = ocigc_json_peek(&json) == '"' && ocigc_json_read_string(&json, &value);
            if (ok)
                code = add_annotation(reader, &key, &value, found);
        }
        if (!ok || more < 0)
            code = refuse(reader, "annotations must be an object of strings");
    }
    ocigc_json_close(&json);
    return code;
}

/* ----------------------------------------------------------------- entries */

static int add_embedded(void *context, const struct ocigc_found_descriptor *found)
{
    struct reader *reader = context;
    struct ocigc_span span = {reader->index->text_length, found->digest_length};
    int32_t media = ocigc_embedded_media(found->role, found->media);
    uint8_t kind = found->role == OCIGC_ROLE_SUBJECT ? OCIGC_REFERENCE_SUBJECT : OCIGC_REFERENCE_CONTENT;
    bool ok = keep_bytes(reader, found->digest, found->digest_length) == OCIGC_OK &&
              add_reference(reader, span, kind, media) == OCIGC_OK;
    return ok ? 0 : -1;
}

/* Reads the `data` of an entry, as the store may lack its target. Nothing is kept of corrupt data. */
static int32_t read_data(struct reader *reader, const struct ocigc_found_descriptor *found, uint8_t *data)
{
    uint32_t before = reader->index->reference_count;
    int32_t code = ocigc_embedded_scan(found, add_embedded, reader);
    *data = code == OCIGC_OK ? OCIGC_DATA_SOUND : OCIGC_DATA_CORRUPT;
    if (code == OCIGC_CORRUPT)
        reader->index->reference_count = before;
    return code == OCIGC_NO_MEMORY ? no_memory(reader) : OCIGC_OK;
}

static int32_t add_entry(struct reader *reader, const struct ocigc_found_descriptor *found)
{
    struct builder *index = reader->index;
    struct annotations annotations = {0};
    struct ocigc_entry entry = {
        .size = found->size,
        .object = found->object,
        .media = (uint8_t)found->media,
    };
    if (index->count == ENTRIES)
        return refuse(reader, "more than 2,097,152 entries");
    if (found->object.length > ENTRY_LIMIT)
        return refuse(reader, "larger than 1,048,576 bytes");
    int32_t code = OCIGC_OK;
    if (found->annotations.length > 0)
        code = read_annotations(reader, found->annotations, &annotations);
    if (code == OCIGC_OK && found->data.length > 0)
        code = read_data(reader, found, &entry.data);
    if (code == OCIGC_OK)
        code = keep_media_type(reader, found, &entry.media_type);
    entry.text = index->text_length;
    if (code == OCIGC_OK)
        code = keep_digest(reader, found, &entry.digest_length);
    for (uint32_t i = 0; code == OCIGC_OK && i < NAME_COUNT && entry.name_length == 0; i++)
        code = keep_string(reader, &annotations.names[i], &entry.name_length);
    if (code == OCIGC_OK)
        code = keep_string(reader, &annotations.created, &entry.created_length);
    if (code == OCIGC_OK && !ocigc_reserve(&index->entries, &index->capacity, index->count, 1, sizeof entry))
        code = no_memory(reader);
    if (code == OCIGC_OK)
        index->entries[index->count++] = entry;
    return code;
}

static int add_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    struct reader *reader = context;
    if (found->role != OCIGC_ROLE_MANIFEST || add_entry(reader, found) == OCIGC_OK)
        return 0;
    reader->error->offset = found->object.start;
    return -1;
}

int32_t ocigc_index_parse(const char *bytes, size_t length, struct ocigc_index **index, struct ocigc_error *error)
{
    struct builder *builder = calloc(1, sizeof *builder);
    struct ocigc_error cause = {0};
    struct reader reader = {.index = builder, .bytes = bytes, .error = &cause};
    int32_t shape;
    if (builder == NULL)
        return ocigc_fail_memory(error);
    int32_t code = ocigc_document_scan(bytes, length, OCIGC_MEDIA_INDEX, add_descriptor, &reader, &shape, error);
    if (code != OCIGC_OK) {
        if (reader.code != OCIGC_OK && error != NULL)
            *error = cause;
        ocigc_index_free(&builder->index);
        return reader.code != OCIGC_OK ? reader.code : code;
    }
    builder->index = (struct ocigc_index){
        .entries = builder->entries,
        .count = builder->count,
        .references = builder->references,
        .reference_count = builder->reference_count,
        .media_types = builder->media_types,
        .media_type_count = builder->media_type_count,
        .text = builder->text,
        .text_length = builder->text_length,
    };
    *index = &builder->index;
    return OCIGC_OK;
}

void ocigc_index_free(struct ocigc_index *index)
{
    struct builder *builder = (struct builder *)index; /* its first member */
    if (builder == NULL)
        return;
    free(builder->entries);
    free(builder->references);
    free(builder->media_types);
    free(builder->text);
    free(builder);
}
