/*
 * libcubemem: preloaded into every QEMU. It makes the mapping of guest memory private where that is asked for, and
 * serves a control socket on which the host replaces guest memory by extents of image files. docs/hypervisor.md
 * describes the control protocol and what is relied on.
 */
#ifndef CUBEMEM_H
#define CUBEMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define CUBEMEM_EXPORT __attribute__((visibility("default")))
#define CUBEMEM_PAGE 4096u
#define CUBEMEM_HUGE_PAGE ((size_t)2 << 20)

/* Set once, before QEMU's main() runs. */
struct cubemem_settings {
    /* The file that QEMU's memory backend maps; NULL: the library does nothing. */
    const char *memory_file;
    /* Where the control socket is made. */
    const char *control_socket;
    /* Whether QEMU's MAP_SHARED of that file is turned into MAP_PRIVATE. */
    bool private_memory;
    /* Whether this QEMU may be asked to fork: see livefork.h. */
    bool forkable;
};

extern struct cubemem_settings cubemem_settings;

/* Guest memory, once QEMU has mapped it. */
struct cubemem_memory {
    unsigned char *base;
    size_t size;
};

extern struct cubemem_memory cubemem_memory;

/* Whether guest memory has all of these bytes. */
bool cubemem_is_within(uint64_t guest_offset, uint64_t length);

/* An extent of guest memory; all offsets and lengths are in bytes and multiples of the page size. */
struct cubemem_extent {
    uint64_t guest_offset;
    uint64_t length;
    uint64_t file_offset;
    uint32_t file;
    uint32_t reserved;
};

/* Returns NULL, or a static text that says what is wrong with the extents; then nothing has been changed. */
const char *cubemem_check_extents(const struct cubemem_extent *extents, uint32_t count, const struct stat *files,
                                  uint32_t file_count);

/*
 * Replaces guest memory: extents come copy-on-write from the files, the rest reads as zeros. Returns 0 or an errno; after
 * a failure the content of guest memory is undefined.
 */
int cubemem_map_extents(const struct cubemem_extent *extents, uint32_t count, const int *fds);

/* Pages of guest memory to save; offset and length are in bytes and multiples of the page size. */
struct cubemem_saved_run {
    uint64_t guest_offset;
    uint64_t length;
    /* Whether long stretches of zeros are left out. */
    uint32_t without_zeros;
    uint32_t reserved;
};

struct cubemem_hole {
    uint64_t guest_offset;
    uint64_t length;
};

/* Zeros that were left out, in the order of the runs. */
#define CUBEMEM_HOLES 128u
struct cubemem_holes {
    uint32_t count;
    struct cubemem_hole at[CUBEMEM_HOLES];
};

/*
 * Writes pages, one after the other, to a file from a position on; the guest must stand still. Zeros of fewer than
 * smallest_hole bytes are written in any case. Returns 0 or an errno; after a failure some of it may have been written.
 */
int cubemem_save(int fd, uint64_t position, uint64_t smallest_hole, const struct cubemem_saved_run *runs, uint32_t count,
                 struct cubemem_holes *holes);

/* In a forked QEMU: has the translated code that is added from now on take no more memory than it needs. */
void cubemem_code_in_small_pages(void);

/* Where QEMU has its translated code; from 0 to 0 where that is not known. */
void cubemem_code_range(uintptr_t *start, uintptr_t *end);

/* Kills the process rather than let it, or what it forks, execute another program. */
void cubemem_forbid_exec(void);

/* Serves the control socket on a thread of its own. Ends the process with a message where that cannot be done. */
void cubemem_start_control(void);

/* Ends the process with a line on standard error. */
_Noreturn void cubemem_die(const char *what, int error);

#endif
