/* windows.h - windows onto files, mapped side by side into regions of address space.
 *
 * To unmap a window takes an interrupt of every core on which another thread of the process runs, because its TLB may
 * know the pages. So a region is unmapped as a whole, once its last window is closed. */
#ifndef OCIGC_STORE_WINDOWS_H
#define OCIGC_STORE_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OCIGC_WINDOW_MAX = 4 << 20 }; /* bytes of a window, apart from what lies before its content */

struct ocigc_region;

struct ocigc_window {
    uint8_t *bytes;  /* NULL: closed */
    uint64_t offset; /* in the file */
    size_t length;
    struct ocigc_region *region;
};

/* The windows of one thread. All zero: it has none. */
struct ocigc_windows {
    struct ocigc_region *current;
    bool is_off; /* files cannot be mapped */
};

/* Maps `length` bytes of a file to be read, from a position on, which need not be that of a page. `window` must be
 * closed. False if it cannot be mapped. */
bool ocigc_window_open(struct ocigc_windows *windows, int file, uint64_t position, size_t length,
                       struct ocigc_window *window);
/* Nothing of it may be touched from now on. It may be closed already. */
void ocigc_window_close(struct ocigc_windows *windows, struct ocigc_window *window);
/* Whether an address lies in an open window. */
bool ocigc_window_has(const struct ocigc_window *window, const void *address);
/* Once all windows are closed. */
void ocigc_windows_free(struct ocigc_windows *windows);

#endif
