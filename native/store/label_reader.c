/* label_reader.c - what the labels in one file mean: edges, roots, and names of images that are kept or keep. */
#include "store/label_reader.h"

#include "base/vector.h"
#include "json/scanner.h"

#include <stdlib.h>
#include <string.h>

enum {
    LABEL_LIMIT = 1 << 22, /* labels in all; it bounds the memory that label files can take */
};

bool ocigc_label_reader_init(struct ocigc_label_reader *reader, ocigc_store *store, const char *algorithm)
{
    *reader = (struct ocigc_label_reader){
        .store = store,
        .algorithm = algorithm,
        .bytes = malloc(OCIGC_LABEL_FILE_MAX),
        .key = malloc(OCIGC_LABEL_FILE_MAX),
        .value = malloc(OCIGC_LABEL_FILE_MAX),
    };
    return reader->bytes != NULL && reader->key != NULL && reader->value != NULL;
}

void ocigc_label_reader_free(struct ocigc_label_reader *reader)
{
    free(reader->bytes);
    free(reader->key);
    free(reader->value);
    free(reader->targets);
    free(reader->kinds);
    free(reader->labels);
    free(reader->text);
    free(reader->missing);
    free(reader->missing_text);
}

static bool take_missing(struct ocigc_label_reader *reader, size_t length)
{
    uint32_t text = (uint32_t)length;
    if ((reader->store->graph->record & OCIGC_RECORD_DESCRIPTORS) == 0)
        return true;
    if (!ocigc_reserve(&reader->missing, &reader->missing_capacity, reader->missing_count, 1,
                       sizeof *reader->missing) ||
        !ocigc_reserve(&reader->missing_text, &reader->missing_text_capacity, reader->missing_text_length, text, 1))
        return false;
    reader->missing[reader->missing_count++] = (struct ocigc_missing){
        .digest = {reader->missing_text_length, text},
        .role = OCIGC_ROLE_LABEL,
        .media = OCIGC_MEDIA_NONE,
    };
    memcpy(reader->missing_text + reader->missing_text_length, reader->value, text);
    reader->missing_text_length += text;
    return true;
}

static bool add_edge(struct ocigc_label_reader *reader, uint32_t target, int32_t role)
{
    if (!ocigc_reserve(&reader->targets, &reader->target_capacity, reader->edge_count, 1, sizeof *reader->targets) ||
        !ocigc_reserve(&reader->kinds, &reader->kind_capacity, reader->edge_count, 1, sizeof *reader->kinds))
        return false;
    reader->targets[reader->edge_count] = target;
    reader->kinds[reader->edge_count++] = ocigc_kind_of_edge(role, OCIGC_MEDIA_NONE);
    return true;
}

static bool add_label(struct ocigc_label_reader *reader, int32_t kind, const char *value, size_t length)
{
    uint32_t text = (uint32_t)length;
    if (!ocigc_reserve(&reader->labels, &reader->label_capacity, reader->label_count, 1, sizeof *reader->labels) ||
        !ocigc_reserve(&reader->text, &reader->text_capacity, reader->text_length, text, 1))
        return false;
    struct ocigc_span span = {reader->text_length, text};
    reader->labels[reader->label_count++] = (struct ocigc_label){.kind = kind, .value = span};
    if (text > 0)
        memcpy(reader->text + reader->text_length, value, text);
    reader->text_length += text;
    return true;
}

/* An edge to, or from, the content that a label names. */
static bool add_content(struct ocigc_label_reader *reader, bool is_back, size_t key_length, size_t length)
{
    struct ocigc_digest digest;
    if (!ocigc_digest_read(reader->value, length, &digest)) /* forward, containerd ignores it */
        return !is_back || add_label(reader, OCIGC_LABEL_UNKNOWN, reader->key, key_length);
    uint32_t target = ocigc_store_find_digest(reader->store, &digest, reader->value, length);
    if (target != UINT32_MAX)
        return add_edge(reader, target, is_back ? OCIGC_ROLE_BACK : OCIGC_ROLE_LABEL);
    return is_back || (add_edge(reader, UINT32_MAX, OCIGC_ROLE_LABEL) && take_missing(reader, length));
}

static bool take_label(struct ocigc_label_reader *reader, const struct ocigc_json_string *key,
                       const struct ocigc_json_string *value)
{
    size_t key_length = ocigc_json_decode(key, reader->key, OCIGC_LABEL_FILE_MAX);
    size_t length = ocigc_json_decode(value, reader->value, OCIGC_LABEL_FILE_MAX);
    switch (ocigc_label_meaning(reader->key, key_length)) {
    case OCIGC_LABEL_MEANS_ROOT:
        return add_label(reader, OCIGC_LABEL_ROOT, NULL, 0);
    case OCIGC_LABEL_MEANS_CONTENT:
        return add_content(reader, false, key_length, length);
    case OCIGC_LABEL_MEANS_CONTENT_BACK:
        return add_content(reader, true, key_length, length);
    case OCIGC_LABEL_MEANS_IMAGE:
        return add_label(reader, OCIGC_LABEL_IMAGE, reader->value, length);
    case OCIGC_LABEL_MEANS_IMAGE_BACK:
        return add_label(reader, OCIGC_LABEL_IMAGE_BACK, reader->value, length);
    case OCIGC_LABEL_MEANS_UNKNOWN:
        return add_label(reader, OCIGC_LABEL_UNKNOWN, reader->key, key_length);
    default:
        return true;
    }
}

static bool parse_members(struct ocigc_label_reader *reader, struct ocigc_json *json)
{
    struct ocigc_json_string key, value;
    int more;
    if (!ocigc_json_enter_object(json))
        return false;
    while ((more = ocigc_json_next_member(json, &key)) == 1) {
        if (ocigc_json_peek(json) != '"')
            return ocigc_json_fail(json, "a label that is not a string");
        if (!ocigc_json_read_string(json, &value))
            return false;
        if (!take_label(reader, &key, &value))
            return ocigc_json_fail_memory(json);
    }
    return more == 0 && (ocigc_json_end(json) || ocigc_json_fail(json, "unexpected content after the labels"));
}

static int32_t parse(struct ocigc_label_reader *reader, const char *name, size_t length, struct ocigc_error *error)
{
    struct ocigc_json json;
    int32_t code = OCIGC_OK;
    ocigc_json_open(&json, reader->bytes, length, true);
    if (!parse_members(reader, &json)) {
        code = ocigc_json_is_out_of_memory(&json) ? OCIGC_NO_MEMORY : OCIGC_MALFORMED;
        ocigc_fail(error, code, "labels/%s/%s: %s%s%s", reader->algorithm, name, json.reason,
                   json.duplicate[0] != '\0' ? " " : "", json.duplicate);
        error->offset = json.position;
    }
    ocigc_json_close(&json);
    return code;
}

static bool add_labels(struct ocigc_graph *graph, const struct ocigc_label_reader *reader, uint32_t node)
{
    if (!ocigc_reserve(&graph->labels, &graph->label_capacity, graph->label_count, reader->label_count,
                       sizeof *graph->labels) ||
        !ocigc_reserve(&graph->label_text, &graph->label_text_capacity, graph->label_text_length, reader->text_length,
                       1))
        return false;
    for (uint32_t i = 0; i < reader->label_count; i++) {
        struct ocigc_label *label = &graph->labels[graph->label_count++];
        *label = reader->labels[i];
        label->node = node;
        label->value.start += graph->label_text_length;
    }
    if (reader->text_length > 0)
        memcpy(graph->label_text + graph->label_text_length, reader->text, reader->text_length);
    graph->label_text_length += reader->text_length;
    return true;
}

static bool add_missing(struct ocigc_graph *graph, struct ocigc_label_reader *reader, uint32_t node)
{
    for (uint32_t i = 0; i < reader->missing_count; i++) {
        reader->missing[i].node = node;
        if (!ocigc_graph_add_missing(graph, &reader->missing[i],
                                     reader->missing_text + reader->missing[i].digest.start))
            return false;
    }
    return true;
}

static int32_t hand_over(struct ocigc_label_reader *reader, uint32_t node, pthread_mutex_t *lock,
                         struct ocigc_error *error)
{
    struct ocigc_graph *graph = reader->store->graph;
    pthread_mutex_lock(lock);
    bool is_many = reader->label_count > LABEL_LIMIT - graph->label_count;
    bool ok = !is_many && add_labels(graph, reader, node) && add_missing(graph, reader, node) &&
              ocigc_graph_add_edges(graph, node, reader->targets, reader->kinds, reader->edge_count);
    if (reader->edge_count > 0)
        ocigc_graph_set_flags(graph, node, OCIGC_NODE_LEADS_ON);
    pthread_mutex_unlock(lock);
    if (is_many)
        return ocigc_fail(error, OCIGC_MALFORMED, "labels: more than %d labels of garbage collection", LABEL_LIMIT);
    return ok ? OCIGC_OK : ocigc_fail_memory(error);
}

static void forget(struct ocigc_label_reader *reader)
{
    reader->edge_count = reader->label_count = reader->text_length = 0;
    reader->missing_count = reader->missing_text_length = 0;
}

int32_t ocigc_label_reader_read(struct ocigc_label_reader *reader, uint32_t node, const char *name, size_t length,
                                pthread_mutex_t *lock, struct ocigc_error *error)
{
    int32_t code = parse(reader, name, length, error);
    if (code == OCIGC_OK)
        code = hand_over(reader, node, lock, error);
    forget(reader);
    return code;
}
