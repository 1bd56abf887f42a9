#include "store/node_set.h"

#include "base/vector.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE = 4096 }; /* slots: to clear more, set after set, costs more than to allocate them anew */

void ocigc_node_set_free(struct ocigc_node_set *numbers)
{
    free(numbers->nodes);
    free(numbers->slots);
    *numbers = (struct ocigc_node_set){0};
}

void ocigc_node_set_clear(struct ocigc_node_set *numbers)
{
    if (numbers->size > LARGE)
        ocigc_node_set_free(numbers);
    else if (numbers->size > 0)
        memset(numbers->slots, 0, numbers->size * sizeof *numbers->slots);
    numbers->count = 0;
}

/* The slot of a node's number, or the free one where that belongs. */
static uint32_t *slot_of(const struct ocigc_node_set *numbers, uint32_t node)
{
    uint32_t mask = numbers->size - 1;
    uint32_t slot = (uint32_t)(node * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (numbers->slots[slot] != 0 && numbers->nodes[numbers->slots[slot] - 1] != node)
        slot = (slot + 1) & mask;
    return &numbers->slots[slot];
}

static bool grow(struct ocigc_node_set *numbers)
{
    uint32_t size = numbers->size == 0 ? 64 : 2 * numbers->size;
    uint32_t *slots = size > numbers->size ? calloc(size, sizeof *slots) : NULL;
    if (slots == NULL)
        return false;
    free(numbers->slots);
    numbers->slots = slots;
    numbers->size = size;
    for (uint32_t number = 0; number < numbers->count; number++)
        *slot_of(numbers, numbers->nodes[number]) = number + 1;
    return true;
}

uint32_t ocigc_node_set_find(const struct ocigc_node_set *numbers, uint32_t node)
{
    return numbers->size == 0 ? UINT32_MAX : *slot_of(numbers, node) - 1;
}

int ocigc_node_set_add(struct ocigc_node_set *numbers, uint32_t node)
{
    if (numbers->count >= numbers->size / 2 && !grow(numbers))
        return -1;
    uint32_t *slot = slot_of(numbers, node);
    if (*slot != 0)
        return 0;
    if (!ocigc_reserve(&numbers->nodes, &numbers->capacity, numbers->count, 1, sizeof *numbers->nodes))
        return -1;
    numbers->nodes[numbers->count++] = node;
    *slot = numbers->count;
    return 1;
}
