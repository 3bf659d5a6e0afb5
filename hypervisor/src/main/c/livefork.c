#define _GNU_SOURCE
#include "livefork.h"

#include <asm/prctl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/rseq.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__) || !defined(__GLIBC__)
#error "live fork knows the x86-64 signal frame and glibc's thread block only"
#endif

#define MAX_THREADS 128
#define MAX_FDS 512
#define PARK_TIMEOUT_US 2000000
/* For threads of a running machine to be at rest at the same time: it can be stopped instead. */
#define REST_TIMEOUT_US 10000

/*
 * QEMU blocks every signal in most of its threads, but glibc never lets a program block 32 and 33, which it keeps for
 * itself. 33 (SIGSETXID) serves setuid() in threaded programs, which QEMU does not call once it runs.
 */
#define SIGNAL_PARK 33

/* glibc 2.36: the registration of restartable sequences, whose signature the kernel wants again. */
#ifndef RSEQ_SIG
#define RSEQ_SIG 0x53053053
#endif

struct thread {
    pid_t tid;
    int parked;                 /* -1: it is gone */
    int held;                   /* it is, or may be, a processor of a machine that runs */
    uintptr_t fs;               /* the thread block */
    void *frame;                /* ucontext in the signal frame, where rt_sigreturn expects the stack pointer */
    void *robust_head;
};

static struct thread threads[MAX_THREADS];
static int thread_count;
static int generation;          /* futex: parked threads wait for it to change */
static int parking;             /* 0: a signal that comes now comes late, and its thread goes on at once */
static int parked_count;        /* futex: who parks waits for it to reach parked_wanted */
static int parked_wanted;
static long tid_offset = -1;    /* of the thread ID in glibc's thread block, in bytes */
static int processors_held;     /* they have not been made anew yet */
static int reviving;            /* threads made anew that still need their entry above */
static char revive_stacks[MAX_THREADS][4096] __attribute__((aligned(64)));

static uintptr_t main_thread;   /* its thread block */

/* ---- small tools that neither allocate nor lock ---- */

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* For something that nobody announces, and that comes about in moments. Spinning would take a processor from who does it. */
static void wait_a_little(void)
{
    nanosleep(&(struct timespec){0, 20000}, NULL);
}

static uintptr_t fs_base(void)
{
    uintptr_t fs = 0;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
    return fs;
}

__attribute__((constructor)) static void note_main_thread(void)
{
    main_thread = fs_base();
}

static int fail(char error[LIVEFORK_ERROR], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, LIVEFORK_ERROR, format, args);
    va_end(args);
    return -1;
}

static ssize_t read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = 0;
    for (;;) {
        ssize_t r = read(fd, buffer + n, size - 1 - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        n += (size_t)r;
        if (n == size - 1)
            break;
    }
    close(fd);
    buffer[n] = 0;
    return (ssize_t)n;
}

struct kernel_dirent {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

/* Calls visit with each number that is a name in a directory of /proc. Returns the first non-zero answer. */
static int each_number(const char *directory, int (*visit)(int number, void *context), void *context)
{
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    char buffer[4096] __attribute__((aligned(8)));
    int answer = 0;
    long n;
    while (!answer && (n = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < n && !answer;) {
            struct kernel_dirent *entry = (struct kernel_dirent *)(buffer + at);
            at += entry->reclen;
            if (entry->name[0] < '0' || entry->name[0] > '9')
                continue;
            int number = atoi(entry->name);
            if (number != dir)
                answer = visit(number, context);
        }
    close(dir);
    return answer;
}

/* ---- parking ---- */

/* As the kernel has it; glibc refuses to install a handler for its own signals. */
struct kernel_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

extern void livefork_restorer(void);
__asm__(".globl livefork_restorer\n.hidden livefork_restorer\nlivefork_restorer: mov $15, %eax\nsyscall\n");

static void park(int signal, siginfo_t *info, void *frame)
{
    (void)signal;
    (void)info;
    int saved_errno = errno;
    int parked_in = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    pid_t me = (pid_t)syscall(SYS_gettid);
    int count = __atomic_load_n(&parking, __ATOMIC_ACQUIRE) ? __atomic_load_n(&thread_count, __ATOMIC_ACQUIRE) : 0;
    for (int i = 0; i < count; i++)
        if (threads[i].tid == me) {
            threads[i].fs = fs_base();
            threads[i].frame = frame;
            __atomic_store_n(&threads[i].parked, 1, __ATOMIC_RELEASE);
            if (__atomic_add_fetch(&parked_count, 1, __ATOMIC_ACQ_REL) >= __atomic_load_n(&parked_wanted, __ATOMIC_ACQUIRE))
                syscall(SYS_futex, &parked_count, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            while (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == parked_in)
                syscall(SYS_futex, &generation, FUTEX_WAIT_PRIVATE, parked_in, NULL, NULL, 0);
            break;
        }
    errno = saved_errno;
}

static void release(void)
{
    __atomic_store_n(&parking, 0, __ATOMIC_RELEASE);
    __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, &generation, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static int add_thread(int tid, void *context)
{
    int *added = context;
    if (tid == (pid_t)syscall(SYS_gettid))
        return 0;
    for (int i = 0; i < thread_count; i++)
        if (threads[i].tid == tid)
            return 0;
    if (thread_count == MAX_THREADS)
        return -1;
    struct thread *thread = &threads[thread_count];
    memset(thread, 0, sizeof *thread);
    thread->tid = tid;
    __atomic_store_n(&thread_count, thread_count + 1, __ATOMIC_RELEASE);
    (*added)++;
    return 0;
}

/* Whether a thread is gone, by now; one that ends while it is being parked is no longer to be waited for. */
static int thread_gone(pid_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH;
}

/* Waits until all threads that are known are parked, or gone. Returns one that is neither by the deadline. */
static const struct thread *await_parked(uint64_t deadline)
{
    for (;;) {
        int seen = __atomic_load_n(&parked_count, __ATOMIC_ACQUIRE);
        const struct thread *missing = NULL;
        for (int i = 0; i < thread_count; i++)
            if (!__atomic_load_n(&threads[i].parked, __ATOMIC_ACQUIRE)) {
                if (thread_gone(threads[i].tid)) {
                    threads[i].parked = -1;
                    __atomic_fetch_sub(&parked_wanted, 1, __ATOMIC_ACQ_REL);
                } else {
                    missing = &threads[i];
                }
            }
        if (!missing || now_us() > deadline)
            return missing;
        /* Not for long: nobody says that a thread is gone. */
        syscall(SYS_futex, &parked_count, FUTEX_WAIT_PRIVATE, seen, &(struct timespec){0, 1000000}, NULL, 0);
    }
}

/* Parks every other thread, new ones included. On failure all are released. */
static int park_all(char error[LIVEFORK_ERROR])
{
    struct kernel_sigaction action = {park, SA_SIGINFO | SA_RESTART | 0x04000000 /* SA_RESTORER */,
                                      livefork_restorer, ~0ul};
    if (syscall(SYS_rt_sigaction, SIGNAL_PARK, &action, NULL, 8))
        return fail(error, "signal %d cannot be used for parking: %s", SIGNAL_PARK, strerror(errno));
    thread_count = 0;
    parked_count = 0;
    __atomic_store_n(&parking, 1, __ATOMIC_RELEASE);
    uint64_t deadline = now_us() + PARK_TIMEOUT_US;
    for (;;) {
        int first = thread_count, added = 0;
        if (each_number("/proc/self/task", add_thread, &added)) {
            release();
            return fail(error, "more than %d threads", MAX_THREADS);
        }
        if (!added)
            return 0;
        __atomic_store_n(&parked_wanted, thread_count, __ATOMIC_RELEASE);
        for (int i = first; i < thread_count; i++)
            syscall(SYS_tgkill, getpid(), threads[i].tid, SIGNAL_PARK);
        const struct thread *missing = await_parked(deadline);
        if (missing) {
            release();
            return fail(error, "thread %d did not park", missing->tid);
        }
    }
}

static int is_in_code(const struct thread *thread, const struct livefork_running *running)
{
    uintptr_t at = (uintptr_t)((const ucontext_t *)thread->frame)->uc_mcontext.gregs[REG_RIP];
    return running && at >= running->code_start && at < running->code_end;
}

/* Without a timeout: a processor that has nothing to do is. */
static int is_in_futex(const struct thread *thread)
{
    const greg_t *registers = ((const ucontext_t *)thread->frame)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    return at[0] == 0x0f && at[1] == 0x05 && registers[REG_RAX] == SYS_futex;
}

/*
 * Whether a parked thread was waiting, or in translated code. A thread that was doing something else may hold a recursive mutex, which knows its owner
 * by thread ID, and thread IDs are new in the child; one that waits in poll, or on a futex that nobody has touched, does
 * not: where all threads wait and none has been woken, whoever waits for a lock would wait for ever.
 */
static int was_at_rest(const struct thread *thread, const struct livefork_running *running)
{
    const greg_t *registers = ((const ucontext_t *)thread->frame)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    if (is_in_code(thread, running))
        return 1;
    /* It may wait for a processor that is in translated code still, and must be able to take commands in the child. */
    if (running && thread->fs == main_thread && is_in_futex(thread))
        return 0;
    /* A wait that a signal breaks off: poll, and futexes with a timeout. */
    if (registers[REG_RAX] == -EINTR)
        return at[-2] == 0x0f && at[-1] == 0x05;    /* behind a syscall instruction */
    /* One that is begun anew: the kernel has put the thread back before its syscall instruction. */
    int operation = (int)registers[REG_RSI] & FUTEX_CMD_MASK;
    return is_in_futex(thread) && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET)
           && __atomic_load_n((const int *)registers[REG_RDI], __ATOMIC_ACQUIRE) == (int)registers[REG_RDX];
}

/* Parks all threads at an instant at which all of them are at rest. */
static int park_at_rest(const struct livefork_running *running, struct livefork_result *result)
{
    uint64_t deadline = now_us() + (running ? REST_TIMEOUT_US : PARK_TIMEOUT_US);
    for (;;) {
        if (park_all(result->error))
            return -1;
        const struct thread *busy = NULL;
        for (int i = 0; i < thread_count && !busy; i++)
            if (threads[i].parked == 1 && !was_at_rest(&threads[i], running))
                busy = &threads[i];
        if (!busy)
            return 0;
        release();
        if (now_us() > deadline) {
            result->pid = running ? 0 : -1;
            return fail(result->error, "thread %d is never at rest", busy->tid);
        }
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

/* ---- reviving, in the child ---- */

/*
 * The first and only steps of a revived thread on its borrowed stack: what the kernel keeps for each thread outside its
 * memory, then back into the parked handler's frame, which has registers, floating point and signal mask.
 */
static int revive(void *argument)
{
    struct thread *thread = argument;
    if (thread->robust_head)
        syscall(SYS_set_robust_list, thread->robust_head, 24);
    if (__rseq_size)
        syscall(SYS_rseq, thread->fs + (uintptr_t)__rseq_offset, 32, 0, RSEQ_SIG);
    void *frame = thread->frame;
    __atomic_fetch_sub(&reviving, 1, __ATOMIC_ACQ_REL);
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" : : "r"(frame) : "memory");
    __builtin_unreachable();
}

static int revive_all(int held)
{
    /*
     * Threads begin with the signals blocked that this one has blocked. A signal to park again must wait until they are back on
     * stacks of their own, which is when rt_sigreturn gives them their own mask: the borrowed ones have no room for a frame.
     */
    unsigned long all = ~0ul, before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    int failed = 0;
    for (int i = 0; i < thread_count && !failed; i++) {
        struct thread *thread = &threads[i];
        if (thread->parked != 1 || thread->held != held)
            continue;
        pid_t *tid = (pid_t *)(thread->fs + (uintptr_t)tid_offset);
        __atomic_fetch_add(&reviving, 1, __ATOMIC_ACQ_REL);
        /* PARENT_SETTID puts the new ID into the thread block; CHILD_CLEARTID is how glibc learns that a thread ended. */
        if (clone(revive, revive_stacks[i] + sizeof revive_stacks[i],
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS
                  | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                  thread, tid, (void *)thread->fs, tid) < 0)
            failed = -1;
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    return failed;
}

/* ---- descriptors ---- */

enum kind { KEEP, CLOSE, REOPEN, EVENTFD, SIGNALFD, EPOLL, LISTENER, CONNECTION };

struct descriptor {
    int fd;
    enum kind kind;
    int flags;                  /* as of F_GETFL */
    int cloexec;                /* O_CLOEXEC or 0 */
    uint64_t value;             /* eventfd: counter; signalfd: mask */
    long identity;              /* eventfd: its kernel ID, the same for duplicates; -1 where the kernel tells none */
    int argument;               /* index of the file or socket in the request */
};

struct plan {
    const struct livefork_request *request;
    char *error;
    int count;
    struct descriptor descriptors[MAX_FDS];
};

static struct plan plan;
static char scratch[16384];

static const char *field(const char *info, const char *name)
{
    const char *at = strstr(info, name);
    return at ? at + strlen(name) : NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Its index in the request, or -1. */
static int find_socket(const struct livefork_request *request, const char *name)
{
    for (unsigned i = 0; i < request->nsockets; i++)
        if (!strcmp(name, last_part(request->sockets[i].path)))
            return (int)i;
    return -1;
}

static int plan_socket(struct descriptor *d)
{
    const struct livefork_request *request = plan.request;
    if (d->fd == request->control_listener || d->fd == request->control_connection) {
        d->kind = CLOSE;
        return 0;
    }
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    socklen_t length = sizeof address - 1;
    if (getsockname(d->fd, (struct sockaddr *)&address, &length) || address.sun_family != AF_UNIX
        || length <= sizeof address.sun_family)
        return fail(plan.error, "descriptor %d is a socket of an unknown kind", d->fd);
    /* A connection that QEMU accepted has its listener's name; one that a live fork made has an abstract one. */
    const char *name = last_part(address.sun_path[0] ? address.sun_path : address.sun_path + 1);
    d->argument = find_socket(request, name);
    if (d->argument < 0)
        return fail(plan.error, "descriptor %d is a socket that nobody spoke of: %s", d->fd, name);
    if (strlen(name) >= LIVEFORK_NAME)
        return fail(plan.error, "descriptor %d is a socket with too long a name: %s", d->fd, name);
    int listening = 0;
    length = sizeof listening;
    getsockopt(d->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
    d->kind = listening ? LISTENER : CONNECTION;
    return 0;
}

static int plan_file(struct descriptor *d, const char *path)
{
    for (unsigned i = 0; i < plan.request->nfiles; i++)
        if (!strcmp(path, plan.request->files[i].from)) {
            d->kind = plan.request->files[i].to[0] ? REOPEN : KEEP;
            d->argument = (int)i;
            return 0;
        }
    struct stat status;
    if (fstat(d->fd, &status))
        return fail(plan.error, "descriptor %d: %s", d->fd, strerror(errno));
    if (S_ISCHR(status.st_mode) && (!strcmp(path, "/dev/null") || !strcmp(path, "/dev/urandom")
                                    || !strcmp(path, "/dev/zero")))
        d->kind = KEEP;
    else if (S_ISREG(status.st_mode) && (d->flags & O_ACCMODE) == O_RDONLY)
        d->kind = KEEP;
    else
        return fail(plan.error, "descriptor %d is of an unknown kind: %s", d->fd, path);
    return 0;
}

static int plan_descriptor(int fd, void *context)
{
    (void)context;
    if (plan.count == MAX_FDS)
        return fail(plan.error, "more than %d descriptors", MAX_FDS);
    struct descriptor *d = &plan.descriptors[plan.count++];
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return fail(plan.error, "descriptor %d cannot be read: %s", fd, strerror(errno));
    target[length] = 0;
    d->fd = fd;
    d->flags = fcntl(fd, F_GETFL);
    d->cloexec = fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
    d->identity = -1;
    if (!strncmp(target, "socket:", 7))
        return plan_socket(d);
    if (target[0] == '/')
        return plan_file(d, target);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    const char *value;
    if (!strcmp(target, "anon_inode:[eventfd]")) {
        d->kind = EVENTFD;
        if (read_file(path, scratch, sizeof scratch) < 0 || !(value = field(scratch, "eventfd-count:")))
            return fail(plan.error, "the kernel does not tell the count of eventfd %d", fd);
        d->value = strtoull(value, NULL, 16);
        if ((value = field(scratch, "eventfd-id:")))
            d->identity = strtol(value, NULL, 10);
        if ((value = field(scratch, "eventfd-semaphore:")) && strtol(value, NULL, 10))
            return fail(plan.error, "descriptor %d is of an unknown kind: an eventfd that is a semaphore", fd);
    } else if (!strcmp(target, "anon_inode:[signalfd]")) {
        d->kind = SIGNALFD;
        if (read_file(path, scratch, sizeof scratch) < 0 || !(value = field(scratch, "sigmask:")))
            return fail(plan.error, "the kernel does not tell the mask of signalfd %d", fd);
        d->value = strtoull(value, NULL, 16);
    } else if (!strcmp(target, "anon_inode:[eventpoll]")) {
        d->kind = EPOLL;
        if (read_file(path, scratch, sizeof scratch) >= (ssize_t)sizeof scratch - 1)
            return fail(plan.error, "the epoll set %d is too large", fd);
    } else {
        return fail(plan.error, "descriptor %d is of an unknown kind: %s", fd, target);
    }
    return 0;
}

static int plan_descriptors(const struct livefork_request *request, char error[LIVEFORK_ERROR])
{
    plan.request = request;
    plan.error = error;
    plan.count = 0;
    return each_number("/proc/self/fd", plan_descriptor, NULL) ? -1 : 0;
}

/* The rest runs in the child. */

static _Noreturn void die(const char *what, const char *name)
{
    dprintf(2, "live fork: %s %s: %s\n", what, name, strerror(errno));
    _exit(70);
}

static void put(int made, const struct descriptor *d)
{
    if (made < 0 || dup3(made, d->fd, d->cloexec) < 0)
        die("cannot replace a", "descriptor");
    close(made);
    if (d->kind != EPOLL && d->flags & O_NONBLOCK)
        fcntl(d->fd, F_SETFL, d->flags & (O_NONBLOCK | O_APPEND));
}

static void unix_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strnlen(path, sizeof address->sun_path - 1));
}

/*
 * A connection of a child is given a name of its own, by which plan_socket() knows it when the child is forked in its turn.
 */
static void name_connection(int fd, const char *name)
{
    struct sockaddr_un own;
    memset(&own, 0, sizeof own);
    own.sun_family = AF_UNIX;
    int length = snprintf(own.sun_path + 1, sizeof own.sun_path - 1, "cubefork/%d/%s", (int)getpid(), name);
    bind(fd, (struct sockaddr *)&own, (socklen_t)(sizeof own.sun_family + 1 + (size_t)length));
}

static int connect_host(const struct livefork_request *request, const char *name)
{
    struct sockaddr_un address;
    unix_address(&address, request->host);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    name_connection(fd, name);
    struct livefork_preface preface;
    memset(&preface, 0, sizeof preface);
    memcpy(preface.magic, "cubefork", 8);
    memcpy(preface.token, request->token, LIVEFORK_TOKEN);
    strncpy(preface.name, name, sizeof preface.name - 1);
    preface.pid = getpid();
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)
        || send(fd, &preface, sizeof preface, MSG_NOSIGNAL) != sizeof preface)
        die("cannot connect to the host for", name);
    return fd;
}

/* One whose other end is closed: the process finds out when it looks at it, as with any other. */
static int ended_connection(const char *name)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        die("cannot replace the connection", name);
    name_connection(pair[0], name);
    close(pair[1]);
    return pair[0];
}

static int listen_at(const char *path)
{
    struct sockaddr_un address;
    unix_address(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4))
        die("cannot listen on", path);
    return fd;
}

static void remake(const struct descriptor *d)
{
    const struct livefork_request *request = plan.request;
    sigset_t mask;
    switch (d->kind) {
    case KEEP:
    case EPOLL:
        break;
    case CLOSE:
        close(d->fd);
        break;
    case REOPEN: {
        const char *path = request->files[d->argument].to;
        int keep = O_ACCMODE | O_APPEND | O_DIRECT | O_NONBLOCK | O_DSYNC;
        int opened = open(path, (d->flags & keep) | (d->flags & O_APPEND ? O_CREAT : 0) | O_CLOEXEC, 0600);
        if (opened < 0)
            die("cannot open", path);
        put(opened, d);
        break;
    }
    case EVENTFD:
        for (const struct descriptor *e = plan.descriptors; e < d; e++)
            if (e->kind == EVENTFD && e->identity == d->identity && d->identity >= 0) {
                if (dup3(e->fd, d->fd, d->cloexec) < 0)
                    die("cannot replace a", "descriptor");
                return;
            }
        int made = eventfd(0, EFD_CLOEXEC | (d->flags & O_NONBLOCK ? EFD_NONBLOCK : 0));
        if (d->value && write(made, &d->value, sizeof d->value) != sizeof d->value)
            die("cannot restore an", "eventfd");
        put(made, d);
        break;
    case SIGNALFD:
        memset(&mask, 0, sizeof mask);
        memcpy(&mask, &d->value, sizeof d->value);
        put(signalfd(-1, &mask, SFD_CLOEXEC | (d->flags & O_NONBLOCK ? SFD_NONBLOCK : 0)), d);
        break;
    case LISTENER:
        put(listen_at(request->sockets[d->argument].path), d);
        break;
    case CONNECTION:
        put(request->sockets[d->argument].cut ? ended_connection(last_part(request->sockets[d->argument].path))
                                              : connect_host(request, last_part(request->sockets[d->argument].path)), d);
        break;
    }
}

/* After all others: an epoll set names descriptors, and the inherited set would watch the parent's. */
static void remake_epoll(const struct descriptor *d)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", d->fd);
    if (read_file(path, scratch, sizeof scratch) < 0)
        die("cannot read an", "epoll set");
    int made = epoll_create1(EPOLL_CLOEXEC);
    for (const char *at = scratch; (at = field(at, "tfd:"));) {
        struct epoll_event event;
        int fd = (int)strtol(at, NULL, 10);
        const char *events = field(at, "events:"), *data = field(at, "data:");
        if (!events || !data)
            die("cannot read an", "epoll set");
        event.events = (uint32_t)strtoul(events, NULL, 16);
        event.data.u64 = strtoull(data, NULL, 16);
        if (epoll_ctl(made, EPOLL_CTL_ADD, fd, &event))
            die("cannot restore an", "epoll set");
    }
    put(made, d);
}

static void become_child(const struct livefork_request *request, struct livefork_result *result)
{
    *(pid_t *)(fs_base() + (uintptr_t)tid_offset) = (pid_t)syscall(SYS_gettid);
    syscall(SYS_set_tid_address, fs_base() + (uintptr_t)tid_offset);
    if (chdir(request->directory))
        die("cannot enter", request->directory);
    for (int i = 0; i < plan.count; i++)
        remake(&plan.descriptors[i]);
    for (int i = 0; i < plan.count; i++)
        if (plan.descriptors[i].kind == EPOLL)
            remake_epoll(&plan.descriptors[i]);
    result->control = connect_host(request, "control");
    parking = 0;
    generation++;
    /* Before the others run: the first of them may be told to stop, and wait for processors, before the last is made. */
    __atomic_store_n(&processors_held, request->running != NULL, __ATOMIC_RELEASE);
    if (revive_all(0))
        die("cannot revive", "a thread");
}

void livefork_processors(void)
{
    if (__atomic_load_n(&processors_held, __ATOMIC_ACQUIRE) && __atomic_exchange_n(&processors_held, 0, __ATOMIC_ACQ_REL)
        && revive_all(1))
        die("cannot revive", "a processor");
}

/* Whether the disk is what it was when it was copied. */
static int is_disk_unchanged(const struct livefork_running *running)
{
    struct stat status;
    return !stat(running->disk, &status) && status.st_mtim.tv_sec == running->written.tv_sec
           && status.st_mtim.tv_nsec == running->written.tv_nsec;
}

int livefork(const struct livefork_request *request, struct livefork_result *result)
{
    uint64_t start = now_us();
    result->pid = -1;
    result->control = -1;
    result->error[0] = 0;
    if (tid_offset < 0)
        return fail(result->error, "live fork was not checked in this process");
    if (__atomic_load_n(&processors_held, __ATOMIC_ACQUIRE))
        return fail(result->error, "the processors of this fork do not run yet");
    /* A child may be forked before all of its threads have had a processor. */
    while (__atomic_load_n(&reviving, __ATOMIC_ACQUIRE))
        wait_a_little();
    if (park_at_rest(request->running, result))
        return -1;
    if (request->running && !is_disk_unchanged(request->running)) {
        release();
        result->pid = 0;
        return fail(result->error, "the disk has been written to");
    }
    for (int i = 0; i < thread_count; i++) {
        size_t size;
        if (threads[i].parked == 1
            && syscall(SYS_get_robust_list, threads[i].tid, &threads[i].robust_head, &size))
            threads[i].robust_head = NULL;
        threads[i].held = request->running && threads[i].parked == 1
                          && (is_in_code(&threads[i], request->running) || is_in_futex(&threads[i]));
    }
    uint64_t parked = now_us();
    if (plan_descriptors(request, result->error)) {
        release();
        return -1;
    }
    uint64_t planned = now_us();
    /*
     * Raw, because glibc's fork() would put its allocator and thread lists into the state of a process with one thread.
     * With CLONE_PARENT the child is its parent's sibling: whoever started the first QEMU reaps them all.
     */
    long pid = syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        become_child(request, result);
        return 0;
    }
    int fork_errno = errno;
    uint64_t forked = now_us();
    release();
    result->threads = (unsigned)thread_count;
    result->park_us = (uint32_t)(parked - start);
    result->plan_us = (uint32_t)(planned - parked);
    result->fork_us = (uint32_t)(forked - planned);
    if (pid < 0)
        return fail(result->error, "fork: %s", strerror(fork_errno));
    result->pid = (pid_t)pid;
    return 1;
}

const char *livefork_socket_path(const struct livefork_request *request, const char *name)
{
    int found = find_socket(request, name);
    return found < 0 ? name : request->sockets[found].path;
}

/* ---- what is relied on ---- */

struct probe {
    pthread_mutex_t mutex;
    uintptr_t fs;
    pid_t tid;
};

static void *probe_thread(void *argument)
{
    struct probe *probe = argument;
    probe->fs = fs_base();
    probe->tid = (pid_t)syscall(SYS_gettid);
    pthread_mutex_lock(&probe->mutex);  /* until the check is done */
    pthread_mutex_unlock(&probe->mutex);  /* for the next check, here or in a child */
    return NULL;
}

/*
 * A mapping that stays shared after a fork would be the same memory in parent and children: rings of io_uring or of
 * Linux AIO, or guest memory that is not private.
 */
static int check_mappings(char error[LIVEFORK_ERROR])
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4352], permissions[5];
    int result = maps ? 0 : fail(error, "/proc/self/maps cannot be read: %s", strerror(errno));
    while (!result && fgets(line, sizeof line, maps)) {
        int name = 0;
        if (sscanf(line, "%*s %4s %*s %*s %*s %n", permissions, &name) == 1 && permissions[1] == 'w'
            && permissions[3] == 's') {
            line[strcspn(line, "\n")] = 0;
            result = fail(error, "memory is mapped shared and writable: %.120s", line + name);
        }
    }
    if (maps)
        fclose(maps);
    return result;
}

int livefork_check(char error[LIVEFORK_ERROR])
{
    if (check_mappings(error))
        return -1;
    static struct probe probe = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    probe.tid = 0;
    pthread_mutex_lock(&probe.mutex);
    if (pthread_create(&thread, NULL, probe_thread, &probe))
        return fail(error, "no thread for the check");
    while (!__atomic_load_n(&probe.tid, __ATOMIC_ACQUIRE))
        wait_a_little();
    /* The ID stands in the thread block at the one offset where both threads have their own. */
    uintptr_t mine = fs_base();
    pid_t me = (pid_t)syscall(SYS_gettid);
    long found = -1;
    int matches = 0;
    for (long offset = 0; offset < 2048; offset += (long)sizeof(pid_t))
        if (*(pid_t *)(mine + (uintptr_t)offset) == me && *(pid_t *)(probe.fs + (uintptr_t)offset) == probe.tid) {
            found = offset;
            matches++;
        }
    int result = 0;
    if (matches != 1)
        result = fail(error, "glibc's thread block has the thread ID in %d places", matches);
    else if (park_all(error))
        result = -1;
    else
        release();
    pthread_mutex_unlock(&probe.mutex);
    pthread_join(thread, NULL);
    if (!result)
        tid_offset = found;
    return result;
}
