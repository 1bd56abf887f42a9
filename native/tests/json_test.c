/* The scanner, documents and configs at their edges. Every input is copied into memory of its exact size, so that the
 * sanitizers see a read of even one byte too many. */

#include "base/base.h"
#include "tests/check.h"

#include <string.h>

#define DIGEST_A   "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DESCRIPTOR "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" DIGEST_A "\",\"size\":1}"

static char *exact(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    CHECK(copy != NULL);
    memcpy(copy, text, length);
    return copy;
}

static int32_t check(const char *text)
{
    struct ocigc_error error;
    char *copy = exact(text, strlen(text));
    int32_t code = ocigc_json_check(copy, strlen(text), &error);
    free(copy);
    return code;
}

static struct ocigc_document *parse(const char *text, int32_t media)
{
    struct ocigc_error error;
    struct ocigc_document *document = NULL;
    char *copy = exact(text, strlen(text));
    int32_t code = ocigc_document_parse(copy, strlen(text), media, &document, &error);
    CHECK((code == OCIGC_OK) == (document != NULL));
    free(copy);
    return document;
}

static int accepted(const char *text, int32_t media)
{
    struct ocigc_document *document = parse(text, media);
    ocigc_document_free(document);
    return document != NULL;
}

static void every_prefix_is_refused(const char *text)
{
    CHECK(check(text) == OCIGC_OK);
    for (size_t length = 0; length < strlen(text); length++) {
        struct ocigc_error error;
        char *copy = exact(text, length);
        CHECK(ocigc_json_check(copy, length, &error) == OCIGC_MALFORMED);
        CHECK(error.offset <= length);
        free(copy);
    }
}

static void depth(void)
{
    char text[2 * 600 + 1];
    for (size_t depth = 511; depth <= 513; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        CHECK((check(text) == OCIGC_OK) == (depth <= 512));
    }
}

static void many_keys(void)
{
    /* One of a thousand keys stands twice; without it, the document is valid. */
    char *text = malloc(64 * 1024);
    CHECK(text != NULL);
    for (int twice = 0; twice < 2; twice++) {
        size_t used = (size_t)sprintf(text, "{\"manifests\":[]");
        for (int i = 0; i < 1000; i++)
            used += (size_t)sprintf(text + used, ",\"key\\u0020%d\":%d", i, i);
        sprintf(text + used, twice ? ",\"key 17\":0}" : "}");
        CHECK(accepted(text, OCIGC_MEDIA_INDEX) == !twice);
    }
    free(text);
}

static void strict_documents(void)
{
    CHECK(
        accepted("{\"schemaVersion\":2,\"config\":" DESCRIPTOR ",\"layers\":[" DESCRIPTOR "]}", OCIGC_MEDIA_MANIFEST));
    CHECK(accepted("{\"manifests\":null,\"annotations\":{\"a\":\"b\"}}", OCIGC_MEDIA_INDEX));
    static const char *const refused[] = {
        "[]",
        "{}x",
        "{\"schemaVersion\":1}",
        "{\"schemaVersion\":\"2\"}",
        "{\"config\":" DESCRIPTOR ",\"config\":" DESCRIPTOR "}",
        "{\"config\":" DESCRIPTOR ",\"\\u0063onfig\":" DESCRIPTOR "}",
        "{\"x\":{\"y\":1,\"y\":2}}",
        "{\"Layers\":[]}",
        "{\"layers\":{}}",
        "{\"layers\":[null]}",
        "{\"config\":{}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\"}}",
        "{\"config\":{\"size\":1}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":-1}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":-0}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":1.0}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":1e3}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":9223372036854775808}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":\"1\"}}",
        "{\"config\":{\"digest\":\"" DIGEST_A "\",\"Digest\":\"x\",\"size\":1}}",
        "{\"config\":{\"digest\":\"sha256:../../etc/passwd\",\"size\":1}}",
        "{\"config\":{\"digest\":\"sha256:AAAA\",\"size\":1}}",
        "{\"fsLayers\":[]}",
        "{\"manifests\":[]}",
        "{\"config\":" DESCRIPTOR ",\"manifests\":[]}",
        "{\"mediaType\":\"application/vnd.oci.image.index.v1+json\"}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        CHECK(!accepted(refused[i], OCIGC_MEDIA_MANIFEST));
    CHECK(!accepted("{\"config\":" DESCRIPTOR "}", OCIGC_MEDIA_INDEX));
    CHECK(accepted("{\"config\":{\"digest\":\"" DIGEST_A "\",\"size\":9223372036854775807}}", OCIGC_MEDIA_MANIFEST));
}

static void order_and_ranges(void)
{
    const char *text = "{\"layers\":[" DESCRIPTOR "],\"subject\":" DESCRIPTOR ",\"config\":" DESCRIPTOR "}";
    struct ocigc_document *document = parse(text, OCIGC_MEDIA_MANIFEST);
    CHECK(document != NULL && document->count == 3);
    CHECK(document->shape == OCIGC_SHAPE_MANIFEST);
    const struct ocigc_descriptor *found = document->descriptors;
    CHECK(found[0].role == OCIGC_ROLE_CONFIG && found[1].role == OCIGC_ROLE_LAYER);
    CHECK(found[2].role == OCIGC_ROLE_SUBJECT && found[0].media == OCIGC_MEDIA_CONFIG);
    for (size_t i = 0; i < 3; i++) {
        CHECK(found[i].object.length == strlen(DESCRIPTOR));
        CHECK(memcmp(text + found[i].object.start, DESCRIPTOR, strlen(DESCRIPTOR)) == 0);
        CHECK(found[i].digest.length == strlen(DIGEST_A));
        CHECK(memcmp(document->text + found[i].digest.start, DIGEST_A, strlen(DIGEST_A)) == 0);
    }
    ocigc_document_free(document);
}

static void lenient_documents(void)
{
    const char *text = "{\"a\":[{\"b\":" DESCRIPTOR "},{\"digest\":\"" DIGEST_A "\",\"digest\":\"" DIGEST_A "\"}],"
                       "\"fsLayers\":[{\"blobSum\":\"" DIGEST_A "\"}],\"digest\":{\"sha256\":\"x\"},"
                       "\"subject\":" DESCRIPTOR ",\"c\":{\"digest\":\"none\"}}";
    struct ocigc_document *document = parse(text, OCIGC_MEDIA_JSON);
    CHECK(document != NULL && document->count == 5);
    const struct ocigc_descriptor *found = document->descriptors;
    CHECK(found[0].role == OCIGC_ROLE_SUBJECT && found[1].role == OCIGC_ROLE_FOUND);
    ocigc_document_free(document);
    CHECK(accepted("[]", OCIGC_MEDIA_JSON) && accepted("1", OCIGC_MEDIA_NONE));
    CHECK(!accepted("{\"a\":}", OCIGC_MEDIA_JSON));
}

static struct ocigc_index *parse_index(const char *text, struct ocigc_error *error)
{
    struct ocigc_index *index = NULL;
    char *copy = exact(text, strlen(text));
    int32_t code = ocigc_index_parse(copy, strlen(text), &index, error);
    CHECK((code == OCIGC_OK) == (index != NULL));
    free(copy);
    return index;
}

#define ENTRY(members)         "{\"digest\":\"" DIGEST_A "\",\"size\":1" members "}"
#define INDEX(entries)         "{\"manifests\":[" entries "]}"
#define ANNOTATED(annotations) INDEX(ENTRY(",\"annotations\":" annotations))

static void indexes(void)
{
    struct ocigc_error error;
    static const char text[] =
        INDEX(ENTRY(",\"mediaType\":\"a\"") "," ENTRY(",\"mediaType\":\"b\",\"annotations\":null") "," ENTRY(
            ",\"mediaType\":\"a\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"r\","
            "\"io.containerd.image.name\":\"\\u006e\",\"org.opencontainers.image.created\":\"c\","
            /* a key that is longer than any buffer and not written as it reads */
            "\"\\u0063ontainerd.io/gc.ref.content.0123456789012345678901234567890123456789012345678901234567890123\":"
            "\"d\",\"containerd.io/gc.ref.contents\":\"e\"}"));
    struct ocigc_index *index = parse_index(text, &error);
    CHECK(index != NULL && index->count == 3 && index->media_type_count == 2);
    const struct ocigc_entry *entries = index->entries;
    const char *pool = index->text;
    CHECK(entries[0].media_type == 0 && entries[1].media_type == 1 && entries[2].media_type == 0);
    CHECK(entries[0].name_length == 0 && entries[1].name_length == 0 && entries[1].created_length == 0);
    CHECK(entries[2].name_length == 1 && entries[2].created_length == 1);
    CHECK(entries[2].digest_length == 33 && pool[entries[2].text] == OCIGC_SHA256 &&
          pool[entries[2].text + 32] == '\xaa');
    CHECK(memcmp(pool + entries[2].text + 33, "nc", 2) == 0);
    CHECK(text[entries[2].object.start] == '{' &&
          entries[2].object.start + entries[2].object.length == strlen(text) - 2);
    CHECK(index->reference_count == 1 && index->references[0].entry == 2);
    CHECK(pool[index->references[0].value.start] == 'd');
    ocigc_index_free(index);

    index = parse_index("{}", NULL);
    CHECK(index != NULL && index->count == 0 && index->text_length == 0);
    ocigc_index_free(index);

    static const char *const refused[] = {ANNOTATED("[]"), ANNOTATED("1"), ANNOTATED("{\"a\":1}"),
                                          ANNOTATED("{\"a\":null}")};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CHECK(parse_index(refused[i], &error) == NULL && error.code == OCIGC_MALFORMED);
        CHECK(strcmp(error.message, "manifests[0]: annotations must be an object of strings") == 0);
    }
    CHECK(parse_index(ANNOTATED("{\"a\":\"\",\"a\":\"\"}"), &error) == NULL && error.offset > 0);
    for (size_t length = 0; length < strlen(text); length++) {
        char *copy = exact(text, length);
        CHECK(ocigc_index_parse(copy, length, &index, &error) == OCIGC_MALFORMED && error.code == OCIGC_MALFORMED);
        free(copy);
    }
}

#define NAMED(digest, name)                                                                                            \
    "{\"digest\":\"" digest "\",\"size\":1,\"annotations\":{\"io.containerd.image.name\":\"" name "\"}}"

static void order(void)
{
    struct ocigc_error error;
    static const char text[] =
        INDEX(NAMED(DIGEST_A, "a") "," NAMED("x:2", "n@" DIGEST_A) "," ENTRY("") "," /* n@sha256 */
              NAMED("x:1", "n@" DIGEST_A "1") ","
                                              "{\"digest\":\"x:0\",\"size\":1}"
                                              "," /* n@x:0 */
              NAMED("x:0", "n@x:0:") "," NAMED("x:0", "o") "," NAMED("x:0", "o:") "," NAMED("x:0", "a") "," NAMED(
                  "x:1", "a") "," NAMED("x:1", "o:b"));
    static const uint8_t prefixed[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0};
    static const struct ocigc_naming naming = {"n@", "o:", prefixed}, plain = {"n@", "", NULL};
    static const uint32_t expected[] = {0, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10},
                          of_plain[] = {0, 8, 9, 2, 1, 3, 4, 5, 6, 7, 10};
    uint32_t positions[] = {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    struct ocigc_index *index = parse_index(text, &error);
    CHECK(index != NULL && index->count == 11);
    ocigc_index_sort(index, positions, 11, &naming);
    CHECK(memcmp(positions, expected, sizeof expected) == 0);
    ocigc_index_sort(index, positions, 11, &plain);
    CHECK(memcmp(positions, of_plain, sizeof of_plain) == 0);
    ocigc_index_sort(index, NULL, 0, &plain);
    ocigc_index_free(index);
}

/* An entry that embeds a manifest with a config and the layer x:l. */
#define EMBEDDED_MANIFEST                                                                                              \
    "eyJjb25maWciOnsiZGlnZXN0Ijoic2hhMjU2OmFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYW"                                           \
    "FhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWEiLCJzaXplIjoxfSwi"                                           \
    "bGF5ZXJzIjpbeyJkaWdlc3QiOiJ4OmwiLCJzaXplIjoxfV19"
#define EMBEDDED_SIZE                 "141"
#define EMBEDDED_DIGEST               "sha256:a3d403d58f8ed9ac7bc9b87d231e7220d8f170eadb784ec0bdb1be267134a283"
#define EMBEDDING(digest, size, data) INDEX("{\"digest\":\"" digest "\",\"size\":" size ",\"data\":" data "}")

static void embedded(void)
{
    struct ocigc_error error;
    struct ocigc_index *index =
        parse_index(EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "\"" EMBEDDED_MANIFEST "\""), &error);
    CHECK(index != NULL && index->entries[0].data == OCIGC_DATA_SOUND && index->reference_count == 2);
    const struct ocigc_reference *found = index->references;
    CHECK(found[0].kind == OCIGC_REFERENCE_CONTENT && found[0].media == OCIGC_MEDIA_NONE);
    CHECK(memcmp(index->text + found[0].value.start, DIGEST_A, strlen(DIGEST_A)) == 0);
    CHECK(found[1].media == OCIGC_MEDIA_LAYER && found[1].value.length == 3);
    CHECK(memcmp(index->text + found[1].value.start, "x:l", 3) == 0);
    ocigc_index_free(index);
    static const char *const corrupt[] = {
        EMBEDDING(DIGEST_A, EMBEDDED_SIZE, "\"" EMBEDDED_MANIFEST "\""),
        EMBEDDING(EMBEDDED_DIGEST, "1", "\"" EMBEDDED_MANIFEST "\""),
        EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "\"\""),
        EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "7"),
        EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "[]"),
        EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "\"" EMBEDDED_MANIFEST "=\""),
        EMBEDDING(EMBEDDED_DIGEST, EMBEDDED_SIZE, "\"-" EMBEDDED_MANIFEST "\""),
        EMBEDDING("x:y", "2", "\"YQ=\""),
        EMBEDDING("x:y", "2", "\"YQ===\""),
        EMBEDDING("x:y", "2", "\"Y=Q=\""),
    };
    for (size_t i = 0; i < sizeof corrupt / sizeof corrupt[0]; i++) {
        index = parse_index(corrupt[i], &error);
        CHECK(index != NULL && index->entries[0].data == OCIGC_DATA_CORRUPT && index->reference_count == 0);
        ocigc_index_free(index);
    }
    /* "ab\ncd" in base64, with line breaks and an escape; of an algorithm that is believed */
    index = parse_index(EMBEDDING("x:y", "5", "\"YWI\\nKY\\u0032Q=\""), &error);
    CHECK(index != NULL && index->entries[0].data == OCIGC_DATA_SOUND && index->reference_count == 0);
    ocigc_index_free(index);
    index = parse_index(EMBEDDING(DIGEST_A, "1", "null"), &error);
    CHECK(index != NULL && index->entries[0].data == OCIGC_DATA_NONE);
    ocigc_index_free(index);
}

static void labels(void)
{
    static const struct {
        const char *key;
        enum ocigc_label_meaning meaning;
    } known[] = {
        {"root", OCIGC_LABEL_MEANS_ROOT},
        {"root.x", OCIGC_LABEL_MEANS_ROOT},
        {"ref.content", OCIGC_LABEL_MEANS_CONTENT},
        {"ref.content.", OCIGC_LABEL_MEANS_CONTENT},
        {"ref.content/0", OCIGC_LABEL_MEANS_CONTENT},
        {"ref.contents", OCIGC_LABEL_MEANS_NOTHING},
        {"ref.image.x", OCIGC_LABEL_MEANS_IMAGE},
        {"ref.snapshot.overlayfs", OCIGC_LABEL_MEANS_NOTHING},
        {"ref", OCIGC_LABEL_MEANS_NOTHING},
        {"bref.content.x", OCIGC_LABEL_MEANS_CONTENT_BACK},
        {"bref.image", OCIGC_LABEL_MEANS_IMAGE_BACK},
        {"bref.contents", OCIGC_LABEL_MEANS_UNKNOWN},
        {"bref.snapshot.overlayfs", OCIGC_LABEL_MEANS_UNKNOWN},
        {"expire", OCIGC_LABEL_MEANS_NOTHING},
        {"flat", OCIGC_LABEL_MEANS_NOTHING},
        {"expires", OCIGC_LABEL_MEANS_UNKNOWN},
        {"", OCIGC_LABEL_MEANS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char key[64];
        size_t length = (size_t)snprintf(key, sizeof key, "containerd.io/gc.%s", known[i].key);
        char *copy = exact(key, length);
        CHECK(ocigc_label_meaning(copy, length) == known[i].meaning);
        free(copy);
    }
    CHECK(ocigc_label_meaning("containerd.io/gc", 16) == OCIGC_LABEL_MEANS_NOTHING);
}

static void large_entry(void)
{
    struct ocigc_error error;
    size_t spaces = 1 << 20;
    char *text = malloc(spaces + 200);
    CHECK(text != NULL);
    int head = sprintf(text, INDEX("%s"), "{\"digest\":\"" DIGEST_A "\",\"size\":1}") - 3;
    memmove(text + head + spaces, text + head, 4);
    memset(text + head, ' ', spaces);
    CHECK(parse_index(text, &error) == NULL);
    CHECK(strcmp(error.message, "manifests[0]: larger than 1,048,576 bytes") == 0);
    CHECK(error.offset == strlen("{\"manifests\":["));
    free(text);
}

static void configs(void)
{
    struct ocigc_error error;
    const char *text = "{\"Created\":\"t\",\"config\":{\"labels\":{\"a\":\"1\",\"b\":null,\"a\":\"2\\u00e9\\ud800\"}},"
                       "\"rootfs\":{\"diff_ids\":[\"x\",\"y\"]}}";
    struct ocigc_config *config;
    CHECK(ocigc_config_parse(text, strlen(text), &config, &error) == OCIGC_OK && config->label_count == 2 &&
          config->diff_id_count == 2);
    CHECK(config->created.length == 1);
    const struct ocigc_config_label *labels = config->labels;
    const char *value = config->text + labels[0].value.start;
    CHECK(labels[0].value.length == 6 && memcmp(value, "2\xc3\xa9\xef\xbf\xbd", 6) == 0);
    CHECK(labels[1].value.length == 0);
    ocigc_config_free(config);
    static const char *const refused[] = {"[]",
                                          "{\"config\":1}",
                                          "{\"config\":{\"Labels\":{\"a\":1}}}",
                                          "{\"created\":1}",
                                          "{\"rootfs\":{\"diff_ids\":\"x\"}}",
                                          "{} {}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        CHECK(ocigc_config_parse(refused[i], strlen(refused[i]), &config, &error) == OCIGC_MALFORMED);
}

int main(void)
{
    every_prefix_is_refused("{\"a\":[1.5e+3,-0,true,false,null,\"\\u00e9\xc3\xa9\\n\"],\"b\":{}}");
    depth();
    many_keys();
    strict_documents();
    order_and_ranges();
    lenient_documents();
    indexes();
    order();
    embedded();
    labels();
    large_entry();
    configs();
    return 0;
}
