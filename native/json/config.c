/* config.c - image configs, read as Go's encoding/json reads them into moby's structs. */

#include "base/vector.h"
#include "json/scanner.h"

#include <stdlib.h>
#include <string.h>

/* A config that grows; the public part is filled in at the end. */
struct builder {
    struct ocigc_config config;
    char *text; /* never longer than the source: decoding only shrinks */
    size_t text_length;
    struct ocigc_span created;
    struct ocigc_config_label *labels;
    uint32_t label_count, label_capacity;
    struct ocigc_span *diff_ids;
    uint32_t diff_id_count, diff_id_capacity;
};

struct reader {
    struct ocigc_json json;
    struct builder *config;
    size_t text_capacity;
};

static bool no_memory(struct reader *reader)
{
    return ocigc_json_fail_memory(&reader->json);
}

static bool keep_string(struct reader *reader, const struct ocigc_json_string *string, struct ocigc_span *span)
{
    struct builder *config = reader->config;
    /* U+FFFD takes three bytes in UTF-8 and its escape six, so the length of the source always suffices. A key that
     * occurs twice in the source is kept twice. */
    size_t length =
        ocigc_json_decode(string, config->text + config->text_length, reader->text_capacity - config->text_length);
    if (length == SIZE_MAX)
        return ocigc_json_fail(&reader->json, "more text than it holds");
    *span = (struct ocigc_span){(uint32_t)config->text_length, (uint32_t)length};
    config->text_length += length;
    return true;
}

static bool at_null(struct reader *reader)
{
    return ocigc_json_peek(&reader->json) == 'n';
}

static bool read_text(struct reader *reader, struct ocigc_span *span)
{
    struct ocigc_json_string string;
    return ocigc_json_read_string(&reader->json, &string) && keep_string(reader, &string, span);
}

static bool same_text(const struct builder *config, struct ocigc_span a, struct ocigc_span b)
{
    return a.length == b.length && memcmp(config->text + a.start, config->text + b.start, a.length) == 0;
}

/* map[string]string: null is the empty string, as in Go; of duplicates the last value wins. */
static bool read_label(struct reader *reader, const struct ocigc_json_string *key)
{
    struct builder *config = reader->config;
    struct ocigc_config_label label = {{0, 0}, {0, 0}};
    if (!keep_string(reader, key, &label.key))
        return false;
    if (!(at_null(reader) ? ocigc_json_skip(&reader->json) : read_text(reader, &label.value)))
        return false;
    if (!ocigc_reserve(&config->labels, &config->label_capacity, config->label_count, 1, sizeof *config->labels))
        return no_memory(reader);
    config->labels[config->label_count++] = label;
    return true;
}

static bool read_labels(struct reader *reader)
{
    struct ocigc_json_string key;
    if (at_null(reader)) {
        /* A null after a map empties it. */
        reader->config->label_count = 0;
        return ocigc_json_skip(&reader->json);
    }
    if (!ocigc_json_enter_object(&reader->json))
        return false;
    int more;
    while ((more = ocigc_json_next_member(&reader->json, &key)) == 1)
        if (!read_label(reader, &key))
            return false;
    return more == 0;
}

static bool read_diff_ids(struct reader *reader)
{
    struct builder *config = reader->config;
    config->diff_id_count = 0;
    if (at_null(reader))
        return ocigc_json_skip(&reader->json);
    if (!ocigc_json_enter_array(&reader->json))
        return false;
    int more;
    while ((more = ocigc_json_next_element(&reader->json)) == 1) {
        if (!ocigc_reserve(&config->diff_ids, &config->diff_id_capacity, config->diff_id_count, 1,
                           sizeof *config->diff_ids))
            return no_memory(reader);
        struct ocigc_span *diff_id = &config->diff_ids[config->diff_id_count];
        *diff_id = (struct ocigc_span){0, 0};
        if (!(at_null(reader) ? ocigc_json_skip(&reader->json) : read_text(reader, diff_id)))
            return false;
        config->diff_id_count++;
    }
    return more == 0;
}

/* Reads one member of an object. */
static bool read_member_of(struct reader *reader, const char *wanted, bool (*read)(struct reader *))
{
    struct ocigc_json_string key;
    if (at_null(reader))
        return ocigc_json_skip(&reader->json);
    if (!ocigc_json_enter_object(&reader->json))
        return false;
    int more;
    while ((more = ocigc_json_next_member(&reader->json, &key)) == 1)
        if (!(ocigc_json_equals_folded(&key, wanted) ? read(reader) : ocigc_json_skip(&reader->json)))
            return false;
    return more == 0;
}

static bool read_config(struct reader *reader)
{
    struct ocigc_json *json = &reader->json;
    struct ocigc_json_string key;
    if (!ocigc_json_enter_object(json))
        return false;
    int more;
    while ((more = ocigc_json_next_member(json, &key)) == 1) {
        bool ok;
        if (ocigc_json_equals_folded(&key, "created"))
            ok = at_null(reader) ? ocigc_json_skip(json) : read_text(reader, &reader->config->created);
        else if (ocigc_json_equals_folded(&key, "config"))
            ok = read_member_of(reader, "labels", read_labels);
        else if (ocigc_json_equals_folded(&key, "rootfs"))
            ok = read_member_of(reader, "diff_ids", read_diff_ids);
        else
            ok = ocigc_json_skip(json);
        if (!ok)
            return false;
    }
    return more == 0 && (ocigc_json_end(json) || ocigc_json_fail(json, "unexpected content after the document"));
}

/* By key, then in document order. */
static int compare_labels(const void *left, const void *right, void *context)
{
    const struct ocigc_config_label *a = left;
    const struct ocigc_config_label *b = right;
    const struct builder *config = context;
    size_t common = a->key.length < b->key.length ? a->key.length : b->key.length;
    int order = memcmp(config->text + a->key.start, config->text + b->key.start, common);
    if (order != 0)
        return order;
    if (a->key.length != b->key.length)
        return a->key.length < b->key.length ? -1 : 1;
    return a->key.start < b->key.start ? -1 : 1;
}

/* Keeps the last of duplicate keys. */
static void keep_last_labels(struct builder *config)
{
    if (config->label_count < 2)
        return;
    qsort_r(config->labels, config->label_count, sizeof *config->labels, compare_labels, config);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < config->label_count; i++) {
        if (i + 1 < config->label_count && same_text(config, config->labels[i].key, config->labels[i + 1].key))
            continue;
        config->labels[kept++] = config->labels[i];
    }
    config->label_count = kept;
}

int32_t ocigc_config_parse(const char *bytes, size_t length, struct ocigc_config **config, struct ocigc_error *error)
{
    struct builder *builder = calloc(1, sizeof *builder);
    struct reader reader = {.config = builder, .text_capacity = length + 1};
    if (builder != NULL)
        builder->text = malloc(length + 1);
    if (builder == NULL || builder->text == NULL) {
        free(builder);
        return ocigc_fail_memory(error);
    }
    ocigc_json_open(&reader.json, bytes, length, false);
    bool ok = reader.json.reason == NULL && read_config(&reader);
    ocigc_json_close(&reader.json);
    if (!ok) {
        int32_t code = ocigc_json_is_out_of_memory(&reader.json) ? OCIGC_NO_MEMORY : OCIGC_MALFORMED;
        ocigc_fail(error, code, "image config: %s", reader.json.reason);
        if (error != NULL)
            error->offset = reader.json.position;
        ocigc_config_free(&builder->config);
        return code;
    }
    keep_last_labels(builder);
    builder->config = (struct ocigc_config){
        .text = builder->text,
        .created = builder->created,
        .labels = builder->labels,
        .label_count = builder->label_count,
        .diff_ids = builder->diff_ids,
        .diff_id_count = builder->diff_id_count,
    };
    *config = &builder->config;
    return OCIGC_OK;
}

void ocigc_config_free(struct ocigc_config *config)
{
    struct builder *builder = (struct builder *)config; /* its first member */
    if (builder == NULL)
        return;
    free(builder->text);
    free(builder->labels);
    free(builder->diff_ids);
    free(builder);
}
