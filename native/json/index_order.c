/* index_order.c - sorts the entries of an index.json by the names of their images, then by digests, both as bytes of
 * text. */

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

struct order {
    const struct ocigc_entry *entries;
    const char *text;
    struct ocigc_naming naming;
};

/* A text of two parts, the second right after the first. */
struct text {
    const char *parts[2];
    size_t lengths[2];
    char digest[OCIGC_DIGEST_TEXT_MAX + 1];
};

static size_t write_digest(const struct order *order, const struct ocigc_entry *entry, char *out)
{
    const char *digest = order->text + entry->text;
    const char *algorithm = ocigc_algorithm_name(digest[0]);
    if (algorithm == NULL) {
        memcpy(out, digest, entry->digest_length);
        return entry->digest_length;
    }
    size_t colon = strlen(algorithm);
    memcpy(out, algorithm, colon);
    out[colon] = ':';
    ocigc_hex_encode((const uint8_t *)digest + 1, entry->digest_length - 1u, out + colon + 1);
    return colon + 1 + 2 * (entry->digest_length - 1u);
}

static void write_name(const struct order *order, uint32_t position, struct text *out)
{
    const struct ocigc_entry *entry = &order->entries[position];
    const struct ocigc_naming *naming = &order->naming;
    out->parts[0] = "";
    out->parts[1] = order->text + entry->text + entry->digest_length;
    out->lengths[1] = entry->name_length;
    if (entry->name_length == 0) {
        out->parts[0] = naming->nameless;
        out->parts[1] = out->digest;
        out->lengths[1] = write_digest(order, entry, out->digest);
    } else if (naming->prefixed != NULL && naming->prefixed[position]) {
        out->parts[0] = naming->prefix;
    }
    out->lengths[0] = strlen(out->parts[0]);
}

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int sign = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return sign != 0 ? sign : (a_length > b_length) - (a_length < b_length);
}

static int compare_texts(const struct text *a, const struct text *b)
{
    size_t first = a->lengths[0];
    if (b->lengths[0] < first)
        return -compare_texts(b, a);
    /* The first part of `b` is the longer one: compare it with the first part of `a` and the beginning of its
     * second. */
    int sign = memcmp(a->parts[0], b->parts[0], first);
    if (sign != 0)
        return sign;
    size_t beside = b->lengths[0] - first;
    if (a->lengths[1] < beside) {
        sign = memcmp(a->parts[1], b->parts[0] + first, a->lengths[1]);
        return sign != 0 ? sign : -1;
    }
    sign = memcmp(a->parts[1], b->parts[0] + first, beside);
    return sign != 0 ? sign : compare(a->parts[1] + beside, a->lengths[1] - beside, b->parts[1], b->lengths[1]);
}

static int by_name(const void *left, const void *right, void *context)
{
    const struct order *order = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    struct text one, other;
    write_name(order, a, &one);
    write_name(order, b, &other);
    int sign = compare_texts(&one, &other);
    if (sign != 0)
        return sign;
    size_t length = write_digest(order, &order->entries[a], one.digest);
    sign = compare(one.digest, length, other.digest, write_digest(order, &order->entries[b], other.digest));
    if (sign != 0)
        return sign;
    return (order->entries[a].name_length == 0) - (order->entries[b].name_length == 0);
}

void ocigc_index_sort(const struct ocigc_index *index, uint32_t *positions, size_t count,
                      const struct ocigc_naming *naming)
{
    struct order order = {index->entries, index->text, *naming};
    if (count > 1)
        qsort_r(positions, count, sizeof *positions, by_name, &order);
}
