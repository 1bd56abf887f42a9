#include "store/windows.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    REGION = 64 << 20,
    PAGE = 64 << 10, /* the largest page of any machine */
    HUGE = 2 << 20,  /* what can be mapped by one entry, if the kernel keeps the file so */
};

struct ocigc_region {
    uint8_t *bytes;
    size_t size;
    size_t used;
    uint32_t open; /* windows */
};

static struct ocigc_region *new_region(void)
{
    struct ocigc_region *region = calloc(1, sizeof *region);
    if (region == NULL)
        return NULL;
    region->size = REGION;
    region->bytes = mmap(NULL, REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region->bytes == MAP_FAILED) {
        free(region);
        return NULL;
    }
    return region;
}

static void free_region(struct ocigc_region *region)
{
    munmap(region->bytes, region->size);
    free(region);
}

/* Where the next window of a region begins: as far from a border of its pages as the file's. */
static size_t next_start(const struct ocigc_region *region, uint64_t offset, size_t length)
{
    uint64_t border = length >= HUGE ? HUGE : PAGE;
    uint64_t address = (uint64_t)(uintptr_t)region->bytes + region->used;
    return region->used + (size_t)((offset - address) % border);
}

/* The region that has room for a window, a new one if need be. */
static struct ocigc_region *find_room(struct ocigc_windows *windows, uint64_t offset, size_t length)
{
    struct ocigc_region *current = windows->current;
    if (current != NULL && next_start(current, offset, length) + length <= REGION)
        return current;
    if (current != NULL && current->open == 0)
        free_region(current); /* otherwise its last window frees it */
    windows->current = new_region();
    return windows->current;
}

bool ocigc_window_open(struct ocigc_windows *windows, int file, uint64_t position, size_t length,
                       struct ocigc_window *window)
{
    if (windows->is_off)
        return false;
    uint64_t offset = position - position % PAGE;
    length += (size_t)(position - offset);
    struct ocigc_region *region = find_room(windows, offset, length);
    if (region == NULL)
        return false;
    size_t start = next_start(region, offset, length);
    void *bytes = mmap(region->bytes + start, length, PROT_READ, MAP_SHARED | MAP_FIXED, file, (off_t)offset);
    if (bytes == MAP_FAILED) {
        /* The address space from here on may be another's now. It is left alone, and nothing more is mapped. */
        windows->is_off = true;
        region->size = start;
        return false;
    }
    region->used = start + (length + PAGE - 1) / PAGE * PAGE;
    region->open++;
    *window = (struct ocigc_window){.bytes = bytes, .offset = offset, .length = length, .region = region};
    return true;
}

void ocigc_window_close(struct ocigc_windows *windows, struct ocigc_window *window)
{
    struct ocigc_region *region = window->region;
    if (window->bytes == NULL)
        return;
    window->bytes = NULL;
    if (--region->open == 0 && region != windows->current)
        free_region(region);
}

bool ocigc_window_has(const struct ocigc_window *window, const void *address)
{
    const uint8_t *at = address;
    return window->bytes != NULL && at >= window->bytes && at < window->bytes + window->length;
}

void ocigc_windows_free(struct ocigc_windows *windows)
{
    if (windows->current != NULL)
        free_region(windows->current);
    windows->current = NULL;
}
