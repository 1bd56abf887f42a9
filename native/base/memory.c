/* memory.c - freed memory goes back to the system. */

#include "base/base.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void ocigc_return_memory(void)
{
#ifdef M_MMAP_THRESHOLD
    /* Otherwise glibc raises its threshold when the first large block is freed, and puts later ones on the heap. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}
