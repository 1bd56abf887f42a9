/* index_names.c - what the names of entries look like, and which entries name the same image. */

#include "base/base.h"
#include "digest/xxh3.h"

#include <stdlib.h>
#include <string.h>

enum {
    TAG_LIMIT = 128,
    SHORTEST_FALLBACK = 34, /* "a-" and 32 hex digits */
};

static const char DANGLING[] = "moby-dangling@";

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_tag(const char *text, size_t length)
{
    if (length == 0 || length > TAG_LIMIT || !is_word(text[0]))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_word(text[i]) && text[i] != '.' && text[i] != '-')
            return false;
    return true;
}

/* Whether the last part of a name is as long as a fallback tag, and has a dash. */
static bool may_be_fallback(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && text[start - 1] != '/' && text[start - 1] != ':')
        start--;
    return length - start >= SHORTEST_FALLBACK && memchr(text + start, '-', length - start) != NULL;
}

static uint8_t form_of(const char *text, size_t length)
{
    if (length == 0)
        return 0;
    size_t stem = sizeof DANGLING - 1;
    bool is_odd = may_be_fallback(text, length) || (length >= stem && memcmp(text, DANGLING, stem) == 0);
    return (uint8_t)(OCIGC_NAME_GIVEN | (is_tag(text, length) ? OCIGC_NAME_TAG : 0) |
                     (memchr(text, ',', length) != NULL ? OCIGC_NAME_LIST : 0) | (is_odd ? OCIGC_NAME_ODD : 0));
}

/* A table of entries by digest and name, which are one after the other in the text. */
struct table {
    const struct ocigc_index *index;
    uint32_t *slots; /* open addressing: position + 1; 0 is free */
    uint32_t mask;
};

static size_t length_of(const struct ocigc_entry *entry)
{
    return (size_t)entry->digest_length + entry->name_length;
}

static bool is_same(const struct ocigc_index *index, uint32_t left, uint32_t right)
{
    const struct ocigc_entry *a = &index->entries[left], *b = &index->entries[right];
    return a->digest_length == b->digest_length && a->name_length == b->name_length &&
           memcmp(index->text + a->text, index->text + b->text, length_of(a)) == 0;
}

/* The first entry that is the same as this one. */
static uint32_t find_or_add(struct table *table, uint32_t position)
{
    const struct ocigc_entry *entry = &table->index->entries[position];
    uint64_t hash = ocigc_xxh3(table->index->text + entry->text, length_of(entry)).low;
    for (uint32_t slot = (uint32_t)hash & table->mask;; slot = (slot + 1) & table->mask) {
        if (table->slots[slot] == 0) {
            table->slots[slot] = position + 1;
            return position;
        }
        if (is_same(table->index, table->slots[slot] - 1, position))
            return table->slots[slot] - 1;
    }
}

int32_t ocigc_index_names(const struct ocigc_index *index, uint8_t *forms, uint32_t *firsts, struct ocigc_error *error)
{
    struct table table = {.index = index};
    uint32_t size = 64;
    while (size / 2 < index->count) /* at most 2^21 entries */
        size *= 2;
    table.slots = calloc(size, sizeof *table.slots);
    if (table.slots == NULL)
        return ocigc_fail_memory(error);
    table.mask = size - 1;
    for (uint32_t i = 0; i < index->count; i++) {
        const struct ocigc_entry *entry = &index->entries[i];
        forms[i] = form_of(index->text + entry->text + entry->digest_length, entry->name_length);
        firsts[i] = find_or_add(&table, i);
    }
    free(table.slots);
    return OCIGC_OK;
}
