/* node_set.h - a set of nodes, numbered from 0 in the order in which they were added. */
#ifndef OCIGC_STORE_NODE_SET_H
#define OCIGC_STORE_NODE_SET_H

#include <stdint.h>

/* Zeroed: an empty set. */
struct ocigc_node_set {
    uint32_t *nodes; /* by number */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* a hash table with open addressing: number + 1; 0 is free */
    uint32_t size;   /* of `slots`: a power of two, at most half of them taken */
};

void ocigc_node_set_free(struct ocigc_node_set *numbers);
/* Takes all nodes out; what was large is freed. */
void ocigc_node_set_clear(struct ocigc_node_set *numbers);

/* The number of a node; UINT32_MAX if it is not in the set. */
uint32_t ocigc_node_set_find(const struct ocigc_node_set *numbers, uint32_t node);
/* Adds a node. 1: it is new; 0: it was there; -1: no memory. */
int ocigc_node_set_add(struct ocigc_node_set *numbers, uint32_t node);

#endif
