/* index.json: what a store needs of each entry, in 40 bytes and its text, as there may be a million of them. */

#include "common/vector.h"
#include "json/document.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* What is made of an entry takes many times the memory of its bytes. */
    ENTRIES = 1 << 21,
    ENTRY_LIMIT = 1 << 20, /* bytes */
    TYPES_SEARCHED = 8,    /* media types from the last on in which one is looked for */
};

static const char CREATED[] = "org.opencontainers.image.created";
/* The first that is there and not empty is the name. */
static const char *const NAMES[] = {"io.containerd.image.name", "org.opencontainers.image.ref.name"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };

struct ocigc_index {
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
    ocigc_index *index;
    const char *bytes;
    struct ocigc_error *error;
    int32_t code; /* OCIGC_OK where nothing but the document itself is wrong */
};

/* What the annotations of one entry say; all as it stands in the file. */
struct said {
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

/* Where up to `length` bytes of further text may stand, or NULL: no memory. */
static char *room(ocigc_index *index, uint32_t length)
{
    bool well = ocigc_reserve(&index->text, &index->text_capacity, index->text_length, length, 1);
    return well ? index->text + index->text_length : NULL;
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
    ocigc_index *index = reader->index;
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
    index->media_types[index->media_type_count++] =
        (struct ocigc_span){index->text_length, found->media_type_length};
    return keep_bytes(reader, found->media_type, found->media_type_length);
}

/* ------------------------------------------------------------- annotations */

static int32_t keep_reference(struct reader *reader, const struct ocigc_json_string *value)
{
    ocigc_index *index = reader->index;
    struct ocigc_reference reference = {.entry = index->count, .digest = {.start = index->text_length}};
    int32_t code = keep_string(reader, value, &reference.digest.length);
    if (code != OCIGC_OK)
        return code;
    if (!ocigc_reserve(&index->references, &index->reference_capacity, index->reference_count, 1,
                       sizeof *index->references))
        return no_memory(reader);
    index->references[index->reference_count++] = reference;
    return OCIGC_OK;
}

/* Whether a key is that of a reference; -1: no memory. Any key that is one has to be seen, however it is written. */
static int is_reference(struct reader *reader, const struct ocigc_json_string *key)
{
    if (!key->escaped)
        return ocigc_is_content_label(key->bytes, key->length);
    char *decoded = room(reader->index, key->length); /* overwritten by what is kept next */
    if (decoded == NULL)
        return -1;
    return ocigc_is_content_label(decoded, ocigc_json_decode(key, decoded, key->length));
}

static int32_t take_annotation(struct reader *reader, const struct ocigc_json_string *key,
                               const struct ocigc_json_string *value, struct said *said)
{
    int reference = is_reference(reader, key);
    if (reference != 0)
        return reference > 0 ? keep_reference(reader, value) : no_memory(reader);
    for (uint32_t i = 0; i < NAME_COUNT; i++)
        if (ocigc_json_equals(key, NAMES[i]))
            said->names[i] = *value;
    if (ocigc_json_equals(key, CREATED))
        said->created = *value;
    return OCIGC_OK;
}

static int32_t read_annotations(struct reader *reader, struct ocigc_span span, struct said *said)
{
    struct ocigc_json json;
    struct ocigc_json_string key, value;
    int32_t code = OCIGC_OK;
    int more = 0;
    ocigc_json_open(&json, reader->bytes + span.start, span.length, false);
    if (ocigc_json_peek(&json) != 'n') {
        bool well = ocigc_json_peek(&json) == '{' && ocigc_json_enter_object(&json);
        while (well && code == OCIGC_OK && (more = ocigc_json_next_member(&json, &key)) == 1) {
            well = ocigc_json_peek(&json) == '"' && ocigc_json_read_string(&json, &value);
            if (well)
                code = take_annotation(reader, &key, &value, said);
        }
        if (!well || more < 0)
            code = refuse(reader, "annotations must be an object of strings");
    }
    ocigc_json_close(&json);
    return code;
}

/* ----------------------------------------------------------------- entries */

static int32_t add_entry(struct reader *reader, const struct ocigc_found_descriptor *found)
{
    ocigc_index *index = reader->index;
    struct said said = {0};
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
        code = read_annotations(reader, found->annotations, &said);
    if (code == OCIGC_OK)
        code = keep_media_type(reader, found, &entry.media_type);
    entry.text = index->text_length;
    if (code == OCIGC_OK)
        code = keep_digest(reader, found, &entry.digest_length);
    for (uint32_t i = 0; code == OCIGC_OK && i < NAME_COUNT && entry.name_length == 0; i++)
        code = keep_string(reader, &said.names[i], &entry.name_length);
    if (code == OCIGC_OK)
        code = keep_string(reader, &said.created, &entry.created_length);
    if (code == OCIGC_OK && !ocigc_reserve(&index->entries, &index->capacity, index->count, 1, sizeof entry))
        code = no_memory(reader);
    if (code == OCIGC_OK)
        index->entries[index->count++] = entry;
    return code;
}

static int take_descriptor(void *context, const struct ocigc_found_descriptor *found)
{
    struct reader *reader = context;
    if (found->role != OCIGC_ROLE_MANIFEST || add_entry(reader, found) == OCIGC_OK)
        return 0;
    reader->error->offset = found->object.start;
    return -1;
}

ocigc_index *ocigc_index_parse(const char *bytes, size_t length, struct ocigc_error *error)
{
    ocigc_index *index = calloc(1, sizeof *index);
    struct ocigc_error cause = {0}, unread;
    struct reader reader = {.index = index, .bytes = bytes, .error = &cause};
    int32_t shape;
    if (index == NULL) {
        ocigc_fail(error, OCIGC_NO_MEMORY, "out of memory");
        return NULL;
    }
    if (error == NULL)
        error = &unread;
    if (ocigc_document_scan(bytes, length, OCIGC_MEDIA_INDEX, take_descriptor, &reader, &shape, error) == OCIGC_OK)
        return index;
    if (reader.code != OCIGC_OK)
        *error = cause;
    ocigc_index_free(index);
    return NULL;
}

void ocigc_index_free(ocigc_index *index)
{
    if (index == NULL)
        return;
    free(index->entries);
    free(index->references);
    free(index->media_types);
    free(index->text);
    free(index);
}

uint32_t ocigc_index_count(const ocigc_index *index)
{
    return index->count;
}

const struct ocigc_entry *ocigc_index_entries(const ocigc_index *index)
{
    return index->entries;
}

uint32_t ocigc_index_reference_count(const ocigc_index *index)
{
    return index->reference_count;
}

const struct ocigc_reference *ocigc_index_references(const ocigc_index *index)
{
    return index->references;
}

uint32_t ocigc_index_media_type_count(const ocigc_index *index)
{
    return index->media_type_count;
}

const struct ocigc_span *ocigc_index_media_types(const ocigc_index *index)
{
    return index->media_types;
}

const char *ocigc_index_text(const ocigc_index *index)
{
    return index->text;
}

size_t ocigc_index_text_length(const ocigc_index *index)
{
    return index->text_length;
}
