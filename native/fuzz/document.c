/* Documents of every media on any bytes: what comes out must lie within what went in, and keep to the grammar. */

#include "fuzz/fuzz.h"

static void check(const char *bytes, size_t size, int32_t media)
{
    struct ocigc_error error;
    ocigc_document *document = ocigc_document_parse(bytes, size, media, &error);
    if (document == NULL) {
        REQUIRE(error.code == OCIGC_MALFORMED && error.offset <= size);
        return;
    }
    REQUIRE(ocigc_json_check(bytes, size, &error) == OCIGC_OK);
    const struct ocigc_descriptor *found = ocigc_document_descriptors(document);
    const char *text = ocigc_document_text(document);
    for (size_t i = 0; i < ocigc_document_count(document); i++) {
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
    ocigc_index *index = ocigc_index_parse(bytes, size, &error);
    ocigc_document *document = ocigc_document_parse(bytes, size, OCIGC_MEDIA_INDEX, NULL);
    REQUIRE(index == NULL || document != NULL);
    const struct ocigc_descriptor *found = document == NULL ? NULL : ocigc_document_descriptors(document);
    for (uint32_t i = 0; index != NULL && i < ocigc_index_count(index); i++) {
        const struct ocigc_entry *entry = &ocigc_index_entries(index)[i];
        size_t text = (size_t)entry->digest_length + entry->name_length + entry->created_length;
        REQUIRE(found[i].role == OCIGC_ROLE_MANIFEST && found[i].object.start == entry->object.start);
        REQUIRE(found[i].size == entry->size && found[i].media == entry->media);
        REQUIRE(entry->text + text <= ocigc_index_text_length(index));
        REQUIRE(entry->media_type < ocigc_index_media_type_count(index));
    }
    for (uint32_t i = 0; index != NULL && i < ocigc_index_reference_count(index); i++) {
        struct ocigc_span digest = ocigc_index_references(index)[i].digest;
        REQUIRE((size_t)digest.start + digest.length <= ocigc_index_text_length(index));
        REQUIRE(ocigc_index_references(index)[i].entry < ocigc_index_count(index));
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
