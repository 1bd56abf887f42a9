/* Documents of every media on any bytes: what comes out lies within what went in, and follows the grammar. */

#include "fuzz/fuzz.h"

static void check(const char *bytes, size_t size, int32_t media)
{
    struct ocigc_error error;
    struct ocigc_document *document;
    if (ocigc_document_parse(bytes, size, media, &document, &error) != OCIGC_OK) {
        REQUIRE(error.code == OCIGC_MALFORMED && error.offset <= size);
        return;
    }
    REQUIRE(ocigc_json_check(bytes, size, &error) == OCIGC_OK);
    const struct ocigc_descriptor *found = document->descriptors;
    const char *text = document->text;
    for (size_t i = 0; i < document->count; i++) {
        REQUIRE(ocigc_digest_grammar(text + found[i].digest.start, found[i].digest.length) >= 0);
        REQUIRE(ocigc_media_of(text + found[i].media_type.start, found[i].media_type.length) == found[i].media);
        REQUIRE((size_t)found[i].object.start + found[i].object.length <= size);
        REQUIRE(bytes[found[i].object.start] == '{');
        REQUIRE(found[i].size >= -1);
        REQUIRE(i == 0 || found[i - 1].role <= found[i].role);
        if (media == OCIGC_MEDIA_MANIFEST || media == OCIGC_MEDIA_INDEX) {
            REQUIRE(found[i].size >= 0);
            REQUIRE(bytes[found[i].object.start + found[i].object.length - 1] == '}');
        }
    }
    ocigc_document_free(document);
}

/* An index is read as a document is; besides, its annotations may be wrong. */
static void check_index(const char *bytes, size_t size)
{
    struct ocigc_error error;
    struct ocigc_index *index = NULL;
    struct ocigc_document *document = NULL;
    ocigc_index_parse(bytes, size, &index, &error);
    ocigc_document_parse(bytes, size, OCIGC_MEDIA_INDEX, &document, NULL);
    REQUIRE(index == NULL || document != NULL);
    const struct ocigc_descriptor *found = document == NULL ? NULL : document->descriptors;
    for (uint32_t i = 0; index != NULL && i < index->count; i++) {
        const struct ocigc_entry *entry = &index->entries[i];
        size_t text = (size_t)entry->digest_length + entry->name_length + entry->created_length;
        REQUIRE(found[i].role == OCIGC_ROLE_MANIFEST && found[i].object.start == entry->object.start);
        REQUIRE(found[i].size == entry->size && found[i].media == entry->media);
        REQUIRE(entry->text + text <= index->text_length);
        REQUIRE(entry->media_type < index->media_type_count);
    }
    if (index != NULL) {
        uint8_t *forms = malloc(index->count + 1);
        uint32_t *firsts = malloc((index->count + 1) * sizeof *firsts);
        REQUIRE(forms != NULL && firsts != NULL && ocigc_index_names(index, forms, firsts, NULL) == OCIGC_OK);
        for (uint32_t i = 0; i < index->count; i++)
            REQUIRE(firsts[i] <= i && firsts[firsts[i]] == firsts[i]);
        free(forms);
        free(firsts);
    }
    for (uint32_t i = 0; index != NULL && i < index->reference_count; i++) {
        struct ocigc_span value = index->references[i].value;
        REQUIRE((size_t)value.start + value.length <= index->text_length);
        REQUIRE(index->references[i].entry < index->count);
    }
    ocigc_index_free(index);
    ocigc_document_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int32_t media = OCIGC_MEDIA_UNKNOWN; media <= OCIGC_MEDIA_NONE; media++)
        check((const char *)data, size, media);
    check_index((const char *)data, size);
    return 0;
}
