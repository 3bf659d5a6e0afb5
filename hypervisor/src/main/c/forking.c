#define _GNU_SOURCE
#include "cubemem.h"
#include "livefork.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a QEMU that can be forked must not do, or must do in another way. */

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static int real_madvise(void *address, size_t length, int advice)
{
    static int (*real)(void *, size_t, int);
    if (real == NULL) {
        real = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
    }
    return real(address, length, advice);
}

/*
 * QEMU advises the kernel to leave guest memory and the machine's ROMs out of a fork. The children here are virtual
 * machines too and need them.
 */
CUBEMEM_EXPORT int madvise(void *address, size_t length, int advice)
{
    return advice == MADV_DONTFORK && cubemem_settings.forkable ? 0 : real_madvise(address, length, advice);
}

static int real_mprotect(void *address, size_t length, int protection)
{
    static int (*real)(void *, size_t, int);
    if (real == NULL) {
        real = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "mprotect");
    }
    return real(address, length, protection);
}

/*
 * QEMU sets up some 80 stacks for requests to disks, and keeps them. Each has a guard page, which takes a mapping of its own and
 * keeps that of the stack apart from its neighbours', and a fork copies mapping by mapping. Since Linux 6.13 a guard needs none.
 */
static int guard(void *page)
{
    return real_madvise(page, CUBEMEM_PAGE, MADV_GUARD_INSTALL) == 0 ? 0 : real_mprotect(page, CUBEMEM_PAGE, PROT_NONE);
}

/*
 * QEMU ends each region of its buffer for translated code with a guard page, which keeps half of the buffer out of huge
 * pages. A fork copies, and its end takes apart, 512 page table entries for each that is missing. The guards help to find
 * errors in QEMU, which checks for the end of a region by itself.
 */
static struct {
    uintptr_t start;
    uintptr_t end;
} code;

static int protect_code(uintptr_t start, uintptr_t end)
{
    if (code.end != start) {
        code.start = start;
    }
    code.end = end;
    return real_mprotect((void *)start, end - start, PROT_READ | PROT_WRITE | PROT_EXEC);
}

CUBEMEM_EXPORT int mprotect(void *address, size_t length, int protection)
{
    uintptr_t start = (uintptr_t)address, end = start + length + CUBEMEM_PAGE;
    if (cubemem_settings.forkable && protection == PROT_NONE && length == CUBEMEM_PAGE) {
        return guard(address);
    }
    if (cubemem_settings.forkable && protection == (PROT_READ | PROT_WRITE | PROT_EXEC) && (start | end) % CUBEMEM_HUGE_PAGE == 0) {
        return protect_code(start, end);
    }
    return real_mprotect(address, length, protection);
}

/*
 * A fork keeps the huge pages that it shares, but what little it translates itself would take 2 MiB for each of its
 * processors, and the kernel would join pages that it has written to again, into huge ones of its own.
 */
void cubemem_code_in_small_pages(void)
{
    if (code.end != 0) {
        madvise((void *)code.start, code.end - code.start, MADV_NOHUGEPAGE);
    }
}

void cubemem_code_range(uintptr_t *start, uintptr_t *end)
{
    *start = code.start;
    *end = code.end;
}

/*
 * QEMU watches descriptors through io_uring where it can, whose rings would be shared with the children. As on a kernel
 * without it, QEMU uses epoll and poll then.
 */
CUBEMEM_EXPORT int io_uring_queue_init(unsigned entries, void *ring, unsigned flags)
{
    if (cubemem_settings.forkable) {
        return -ENOSYS;
    }
    static int (*real)(unsigned, void *, unsigned);
    if (real == NULL) {
        real = (int (*)(unsigned, void *, unsigned))dlsym(RTLD_NEXT, "io_uring_queue_init");
    }
    return real == NULL ? -ENOSYS : real(entries, ring, flags);
}

/*
 * QEMU's main thread, when it stops the machine, tells the processors so and waits for them. From then on those that a fork has left
 * parked do nothing else than stop.
 */
CUBEMEM_EXPORT int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *);
    if (real == NULL) {
        /* Without the version it could be the one for programs of before 2003. */
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *))dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    }
    livefork_processors();
    return real(condition, mutex);
}

void cubemem_forbid_exec(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        /* Numbers of the x32 interface, among which are other ways to these calls. */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    /* For QEMU's threads that run already, too. */
    long failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                  || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (failed) {
        cubemem_die("cannot forbid execve", errno);
    }
}
