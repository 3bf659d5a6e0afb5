#define _GNU_SOURCE
#include "cubemem.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Writes pages of guest memory to a file. Whoever has the memory copies it ten times as fast as it can be read from outside, page
 * by page. Into the page cache, or memory that is shared with the host: past the page cache the kernel would pin pages that it wrote
 * from, and for that give the process pages of its own in place of those that it shares with its forks.
 */

/*
 * The page cache takes memory in pieces as large as what is written at once, and large ones are those that nobody has used lately, or
 * ever: slow where the machine is itself virtual.
 */
#define AT_ONCE_BYTES ((size_t)128 << 10)
#define MAX_PIECES 32

struct output {
    int fd;
    uint64_t position;
    struct iovec pieces[MAX_PIECES];
    int count;
    size_t length;
};

static int write_out(struct output *output)
{
    struct iovec *next = output->pieces;
    while (output->count > 0) {
        ssize_t n = pwritev(output->fd, next, output->count, (off64_t)output->position);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        size_t written = n < 0 ? 0 : (size_t)n;
        output->position += written;
        for (; output->count > 0 && written >= next->iov_len; next++, output->count--) {
            written -= next->iov_len;
        }
        if (output->count > 0) {
            next->iov_base = (unsigned char *)next->iov_base + written;
            next->iov_len -= written;
        }
    }
    output->length = 0;
    return 0;
}

static int put(struct output *output, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t part = AT_ONCE_BYTES - output->length < length ? AT_ONCE_BYTES - output->length : length;
        output->pieces[output->count++] = (struct iovec){(void *)bytes, part};
        output->length += part;
        bytes += part;
        length -= part;
        if (output->length == AT_ONCE_BYTES || output->count == MAX_PIECES) {
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

int cubemem_save(int fd, uint64_t position, uint64_t smallest_hole, const struct cubemem_saved_run *runs, uint32_t count,
                 struct cubemem_holes *holes)
{
    struct output output = {.fd = fd, .position = position};
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        const struct cubemem_saved_run *run = &runs[i];
        error = run->without_zeros
                    ? put_without_zeros(&output, run->guest_offset, run->length, smallest_hole, holes)
                    : put(&output, cubemem_memory.base + run->guest_offset, run->length);
    }
    return error == 0 ? write_out(&output) : error;
}
