#define _GNU_SOURCE
#include "cubemem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Writes pages of guest memory to a file. Whoever has the memory copies it ten times as fast as it can be read from outside, page
 * by page. It is copied before it is written: the kernel would pin pages that it wrote from, and for that give the process
 * pages of its own in place of those that it shares with its forks.
 */

/* A huge page: one fault. Past the page cache it is one request to the disk. */
#define BUFFER_BYTES CUBEMEM_HUGE_PAGE
/*
 * The page cache takes memory in pieces as large as what is written at once, and large ones are those that nobody has used lately, or
 * ever: slow where the machine is itself virtual.
 */
#define CACHED_BYTES ((size_t)128 << 10)

struct output {
    int fd;
    size_t at_once;
    uint64_t position;
    unsigned char *buffer;
    size_t filled;
};

static int write_out(struct output *output)
{
    for (size_t done = 0; done < output->filled;) {
        size_t left = output->filled - done;
        size_t length = left < output->at_once ? left : output->at_once;
        ssize_t n = pwrite(output->fd, output->buffer + done, length, (off64_t)output->position);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            done += (size_t)n;
            output->position += (uint64_t)n;
        }
    }
    output->filled = 0;
    return 0;
}

static int put(struct output *output, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t part = BUFFER_BYTES - output->filled < length ? BUFFER_BYTES - output->filled : length;
        memcpy(output->buffer + output->filled, bytes, part);
        output->filled += part;
        bytes += part;
        length -= part;
        if (output->filled == BUFFER_BYTES) {
            int error = write_out(output);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/* Bytes of whole pages of zeros. */
static size_t zeros(const unsigned char *bytes, size_t length)
{
    static const unsigned char zero_page[CUBEMEM_PAGE];
    size_t at = 0;
    while (at < length && memcmp(bytes + at, zero_page, CUBEMEM_PAGE) == 0) {
        at += CUBEMEM_PAGE;
    }
    return at;
}

/* Puts what is not part of a hole, and notes the holes. */
static int put_without_zeros(struct output *output, uint64_t offset, uint64_t length, uint64_t smallest_hole,
                             struct cubemem_holes *holes)
{
    const unsigned char *bytes = cubemem_memory.base + offset;
    uint64_t kept = 0, at = 0;
    while (at < length) {
        uint64_t empty = zeros(bytes + at, length - at);
        if (empty >= smallest_hole && holes->count < CUBEMEM_HOLES) {
            int error = put(output, bytes + kept, at - kept);
            if (error != 0) {
                return error;
            }
            holes->at[holes->count++] = (struct cubemem_hole){offset + at, empty};
            at += empty;
            kept = at;
        } else {
            at += empty > 0 ? empty : CUBEMEM_PAGE;
        }
    }
    return put(output, bytes + kept, length - kept);
}

int cubemem_save(int fd, bool direct, uint64_t position, uint64_t smallest_hole, const struct cubemem_saved_run *runs,
                 uint32_t count, struct cubemem_holes *holes)
{
    /* Twice as long as needed, to have a whole huge page of it. */
    unsigned char *reserved = mmap(NULL, 2 * BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED) {
        return errno;
    }
    uintptr_t aligned = ((uintptr_t)reserved + BUFFER_BYTES - 1) / BUFFER_BYTES * BUFFER_BYTES;
    struct output output = {
        .fd = fd,
        .at_once = direct ? BUFFER_BYTES : CACHED_BYTES,
        .position = position,
        .buffer = (unsigned char *)aligned,
    };
    madvise(output.buffer, BUFFER_BYTES, MADV_HUGEPAGE);
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        const struct cubemem_saved_run *run = &runs[i];
        error = run->without_zeros
                    ? put_without_zeros(&output, run->guest_offset, run->length, smallest_hole, holes)
                    : put(&output, cubemem_memory.base + run->guest_offset, run->length);
    }
    if (error == 0) {
        error = write_out(&output);
    }
    munmap(reserved, 2 * BUFFER_BYTES);
    return error;
}
