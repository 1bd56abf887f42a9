/* What is freed goes back to the system. */

#include "common/common.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void ocigc_return_memory(void)
{
#ifdef M_MMAP_THRESHOLD
    /* Or the first large block that is freed would make glibc put later ones on the heap, which grows around them. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}
