/* numbers.h - some nodes out of very many, numbered from 0 on in the order in which they came. */
#ifndef OCIGC_STORE_NUMBERS_H
#define OCIGC_STORE_NUMBERS_H

#include <stdint.h>

/* All zero: no nodes yet. */
struct ocigc_numbers {
    uint32_t *nodes; /* by number */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* open addressing: a number + 1; 0: free */
    uint32_t size;   /* of the slots: a power of two, of which at most half are taken */
};

void ocigc_numbers_free(struct ocigc_numbers *numbers);

/* The number of a node, UINT32_MAX where it has none. */
uint32_t ocigc_number_of(const struct ocigc_numbers *numbers, uint32_t node);
/* Gives a node a number. 1: it has it now; 0: it had one before; -1: no memory. */
int ocigc_number(struct ocigc_numbers *numbers, uint32_t node);

#endif
