#define _GNU_SOURCE
#include "cubemem.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes. Smaller gaps lie between what the guest uses all the time, a few pages at once. */
#define SMALLEST_HUGE_GAP ((uint64_t)32 << 20)

struct cubemem_memory cubemem_memory;

typedef void *mmap_function(void *, size_t, int, int, int, off64_t);

static mmap_function *real_mmap(void)
{
    static mmap_function *real;
    if (real == NULL) {
        real = (mmap_function *)dlsym(RTLD_NEXT, "mmap64");
        if (real == NULL) {
            cubemem_die("libc has no mmap64", ENOSYS);
        }
    }
    return real;
}

/*
 * QEMU 7.2 opens the file itself and maps it once: a PROT_NONE reservation first, then the file with MAP_FIXED. The file
 * is known by its inode, since QEMU is free to hand on the name in another spelling.
 */
static bool is_guest_memory(int fd, int flags)
{
    struct stat wanted, mapped;
    return cubemem_settings.memory_file != NULL && cubemem_memory.base == NULL && fd >= 0 && (flags & MAP_SHARED) != 0
           && stat(cubemem_settings.memory_file, &wanted) == 0 && fstat(fd, &mapped) == 0
           && wanted.st_dev == mapped.st_dev && wanted.st_ino == mapped.st_ino;
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    if (!is_guest_memory(fd, flags)) {
        return real_mmap()(address, length, protection, flags, fd, offset);
    }
    if (cubemem_settings.private_memory) {
        /* MAP_SHARED_VALIDATE is both type bits. */
        flags = (flags & ~(MAP_SHARED | MAP_SHARED_VALIDATE)) | MAP_PRIVATE | MAP_NORESERVE;
    }
    void *result = real_mmap()(address, length, protection, flags, fd, offset);
    if (result != MAP_FAILED) {
        cubemem_memory = (struct cubemem_memory){.base = result, .size = length};
        /*
         * A QEMU that may fork cannot have QEMU's own filter, which forbids to fork along with execve. Not before main(),
         * since a program that QEMU is wrapped in has to execute it.
         */
        if (cubemem_settings.forkable) {
            cubemem_forbid_exec();
        }
        cubemem_start_control();
    }
    return result;
}

/* QEMU is built with 64-bit file offsets and calls mmap64; other libraries call mmap. On x86-64 they are the same. */
CUBEMEM_EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    return map(address, length, protection, flags, fd, offset);
}

CUBEMEM_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap64")));

static bool is_page_multiple(uint64_t value)
{
    return value % CUBEMEM_PAGE == 0;
}

bool cubemem_is_within(uint64_t guest_offset, uint64_t length)
{
    return guest_offset <= cubemem_memory.size && length <= cubemem_memory.size - guest_offset;
}

const char *cubemem_check_extents(const struct cubemem_extent *extents, uint32_t count, const struct stat *files,
                                  uint32_t file_count)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct cubemem_extent *e = &extents[i];
        if (!is_page_multiple(e->guest_offset) || !is_page_multiple(e->length) || !is_page_multiple(e->file_offset)) {
            return "an extent is not made of whole pages";
        }
        if (e->length == 0 || e->guest_offset < end) {
            return "extents are empty, overlap or are out of order";
        }
        if (!cubemem_is_within(e->guest_offset, e->length)) {
            return "an extent reaches beyond guest memory";
        }
        if (e->file >= file_count) {
            return "an extent names a file that was not given";
        }
        uint64_t file_size = (uint64_t)files[e->file].st_size;
        if (e->file_offset > file_size || e->length > file_size - e->file_offset) {
            return "an extent reaches beyond the end of its file";
        }
        end = e->guest_offset + e->length;
    }
    return NULL;
}

/*
 * What no extent covers, and nobody has used yet, is where a guest puts what it writes in bulk. In huge pages a fork copies one entry of a
 * page table where it would copy 512, while the guest stands still.
 */
static void use_huge_pages(uint64_t from, uint64_t to)
{
    uintptr_t base = (uintptr_t)cubemem_memory.base;
    uintptr_t start = (base + from + CUBEMEM_HUGE_PAGE - 1) / CUBEMEM_HUGE_PAGE * CUBEMEM_HUGE_PAGE;
    uintptr_t end = (base + to) / CUBEMEM_HUGE_PAGE * CUBEMEM_HUGE_PAGE;
    if (to - from >= SMALLEST_HUGE_GAP) {
        madvise((void *)start, end - start, MADV_HUGEPAGE);
    }
}

int cubemem_map_extents(const struct cubemem_extent *extents, uint32_t count, const int *fds)
{
    unsigned char *base = cubemem_memory.base;
    const int protection = PROT_READ | PROT_WRITE;
    const int flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;
    /* What no extent covers is zero: anonymous memory, where a sparse file would also fill the page cache with zeros. */
    if (real_mmap()(base, cubemem_memory.size, protection, flags | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
        return errno;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct cubemem_extent *e = &extents[i];
        if (real_mmap()(base + e->guest_offset, e->length, protection, flags, fds[e->file], (off64_t)e->file_offset)
            == MAP_FAILED) {
            return errno;
        }
    }
    /*
     * QEMU had advised its own mapping; the new one starts without advice. DONTFORK, except in a QEMU that may fork, and
     * DONTDUMP as QEMU has them. NOHUGEPAGE against QEMU's wish: one touched byte would cost 2 MiB of memory.
     */
    madvise(base, cubemem_memory.size, MADV_DONTFORK);
    madvise(base, cubemem_memory.size, MADV_DONTDUMP);
    madvise(base, cubemem_memory.size, MADV_NOHUGEPAGE);
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        use_huge_pages(end, extents[i].guest_offset);
        end = extents[i].guest_offset + extents[i].length;
    }
    use_huge_pages(end, cubemem_memory.size);
    return 0;
}
