/*
 * Tests live fork on a process that waits in every way in which QEMU's threads wait. Argument: name of a case; exits with
 * 0, or with 1 and a line that says what is wrong.
 *
 * A supervisor starts the subject, talks to it and to all that is forked of it by lines, and plays the host to which
 * forked processes connect. A process whose connection to the supervisor ends, ends too.
 */
#define _GNU_SOURCE
#include "livefork.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000       /* for one answer, on a machine that is busy with other things */
#define LINE 512
#define PER_WAY 4               /* threads that wait in the same way */
#define LOCKERS 4
#define HOUR 3600

static char root[64];           /* directory of the test */

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void nap(long us)
{
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* ---- the subject ---- */

enum way { COND, COND_TIMED, SEM, SEM_TIMED, FUTEX, POLL, PPOLL, EPOLL, SIGNALFD, ECHO, LISTEN, WAYS };

static const char *const way_names[WAYS] = {"condition", "timed condition", "semaphore", "timed semaphore", "futex",
    "poll", "ppoll", "epoll", "signalfd", "connection", "listener"};

struct worker {
    enum way way;
    int index;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    sem_t semaphore;
    int event;                  /* eventfd: POLL, PPOLL, EPOLL */
    int set;                    /* epoll set, or signalfd */
    unsigned wanted, done;      /* rounds; futex word: wanted */
    const char *problem;
};

static struct worker workers[WAYS * PER_WAY];
static int worker_count;
static __thread int own_index = -1;
static volatile int stopping;
static int connection = -1, listener = -1, control = -1, overlay = -1, journal = -1;
static char directory[128];

static pthread_mutex_t recursive;
static unsigned long locked_rounds[LOCKERS], shared_count;
static const char *locker_problem;
static pthread_t lockers[LOCKERS];

/* Idle eventfds: value, flags; the last is a duplicate of the one before. */
static const uint64_t event_values[] = {0, 1, 0x123456789ab, 7, 7};
static int events[5];

static struct timespec in_an_hour(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += HOUR;
    return t;
}

static int own_signal(const struct worker *w)
{
    return SIGRTMIN + w->index % 30;
}

static void clear_event(int fd)
{
    uint64_t value;
    while (read(fd, &value, sizeof value) < 0 && errno == EINTR)
        ;
}

/* Waits until a round is wanted. */
static void wait_for_work(struct worker *w)
{
    struct timespec deadline;
    struct pollfd poll_set = {w->event, POLLIN, 0};
    struct signalfd_siginfo info;
    struct epoll_event event;
    switch (w->way) {
    case COND:
    case COND_TIMED:
        pthread_mutex_lock(&w->mutex);
        while (w->wanted == w->done) {
            deadline = in_an_hour(CLOCK_REALTIME);
            if (w->way == COND)
                pthread_cond_wait(&w->cond, &w->mutex);
            else
                pthread_cond_timedwait(&w->cond, &w->mutex, &deadline);
        }
        pthread_mutex_unlock(&w->mutex);
        break;
    case SEM:
        while (sem_wait(&w->semaphore))
            ;
        break;
    case SEM_TIMED:
        do
            deadline = in_an_hour(CLOCK_REALTIME);
        while (sem_timedwait(&w->semaphore, &deadline));
        break;
    case FUTEX:
        while (__atomic_load_n(&w->wanted, __ATOMIC_ACQUIRE) == w->done)
            syscall(SYS_futex, &w->wanted, FUTEX_WAIT_PRIVATE, w->done, NULL, NULL, 0);
        break;
    case POLL:
        while (poll(&poll_set, 1, -1) != 1)
            ;
        clear_event(w->event);
        break;
    case PPOLL:
        while (ppoll(&poll_set, 1, &(struct timespec){HOUR, 0}, NULL) != 1)
            ;
        clear_event(w->event);
        break;
    case EPOLL:
        while (epoll_wait(w->set, &event, 1, -1) != 1)
            ;
        if (event.data.u64 != 0xabcdef0100000000ull + (unsigned)w->index)
            w->problem = "the epoll set has other data";
        clear_event(w->event);
        break;
    case SIGNALFD:
        poll_set.fd = w->set;
        do
            while (poll(&poll_set, 1, -1) != 1)
                ;
        while (read(w->set, &info, sizeof info) != sizeof info);
        break;
    default:
        break;
    }
}

static void want_round(struct worker *w)
{
    pthread_mutex_lock(&w->mutex);
    __atomic_fetch_add(&w->wanted, 1, __ATOMIC_ACQ_REL);
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
    uint64_t one = 1;
    switch (w->way) {
    case SEM:
    case SEM_TIMED:
        sem_post(&w->semaphore);
        break;
    case FUTEX:
        syscall(SYS_futex, &w->wanted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        break;
    case POLL:
    case PPOLL:
    case EPOLL:
        if (write(w->event, &one, sizeof one) != sizeof one)
            w->problem = "its eventfd cannot be written";
        break;
    case SIGNALFD:
        kill(getpid(), own_signal(w));
        break;
    default:
        break;
    }
}

static const char *thread_problem(const struct worker *w, int canary)
{
    sigset_t mask;
    if (own_index != w->index)
        return "another thread's thread-local storage";
    if (!pthread_equal(pthread_self(), w->thread))
        return "another thread's identity";
    if (canary != 4711 + w->index)
        return "another stack";
    if (fegetround() != (w->index % 2 ? FE_UPWARD : FE_DOWNWARD))
        return "another floating point mode";
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (!sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1))
        return "another signal mask";
    return NULL;
}

static void *work(void *argument)
{
    struct worker *w = argument;
    volatile int canary = 4711 + w->index;
    own_index = w->index;
    fesetround(w->index % 2 ? FE_UPWARD : FE_DOWNWARD);
    while (!stopping) {
        wait_for_work(w);
        const char *problem = thread_problem(w, canary);
        if (problem)
            w->problem = problem;
        __atomic_fetch_add(&w->done, 1, __ATOMIC_ACQ_REL);
    }
    return NULL;
}

/* Gives each byte of the connection back, and each visitor of the listener the process ID. */
static void *serve(void *argument)
{
    struct worker *w = argument;
    int *fd = w->way == ECHO ? &connection : &listener;
    while (!stopping) {
        struct pollfd set[2] = {{*fd, POLLIN, 0}, {w->event, POLLIN, 0}};
        if (poll(set, 2, -1) <= 0 || !(set[0].revents & POLLIN))
            continue;
        char byte;
        if (w->way == ECHO) {
            if (recv(*fd, &byte, 1, MSG_DONTWAIT) == 1)
                send(*fd, &byte, 1, MSG_NOSIGNAL);
            continue;
        }
        int visitor = accept4(*fd, NULL, NULL, SOCK_CLOEXEC);
        if (visitor >= 0) {
            dprintf(visitor, "%d\n", (int)getpid());
            close(visitor);
        }
    }
    return NULL;
}

/* Takes a recursive mutex twice, again and again: it knows its owner by thread ID. */
static void *lock_and_unlock(void *argument)
{
    unsigned long *rounds = argument;
    while (!stopping) {
        if (pthread_mutex_lock(&recursive) || pthread_mutex_lock(&recursive))
            locker_problem = "a recursive mutex cannot be locked";
        shared_count++;
        if (pthread_mutex_unlock(&recursive) || pthread_mutex_unlock(&recursive))
            locker_problem = "a recursive mutex is not its owner's";
        __atomic_fetch_add(rounds, 1, __ATOMIC_RELAXED);
        poll(NULL, 0, 3);
    }
    return NULL;
}

static int open_unix(const char *path, int listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || (listening ? bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8)
                             : connect(fd, (struct sockaddr *)&address, sizeof address)))
        die("%s: %s", path, strerror(errno));
    return fd;
}

static void start_workers(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attributes);
    for (int i = 0; i < 5; i++)
        events[i] = i == 4 ? fcntl(events[3], F_DUPFD_CLOEXEC, 0)
                           : eventfd(0, EFD_CLOEXEC | (i != 1 ? EFD_NONBLOCK : 0));
    for (int i = 0; i < 4; i++)
        if (event_values[i] && write(events[i], &event_values[i], 8) != 8)
            die("eventfd: %s", strerror(errno));
    for (enum way way = 0; way < WAYS; way++)
        for (int i = 0; i < (way == ECHO || way == LISTEN ? 1 : PER_WAY); i++) {
            struct worker *w = &workers[worker_count];
            w->way = way;
            w->index = worker_count++;
            w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            w->set = -1;
            pthread_mutex_init(&w->mutex, NULL);
            pthread_cond_init(&w->cond, NULL);
            sem_init(&w->semaphore, 0, 0);
            if (way == EPOLL) {
                struct epoll_event event = {EPOLLIN, {.u64 = 0xabcdef0100000000ull + (unsigned)w->index}};
                w->set = epoll_create1(EPOLL_CLOEXEC);
                epoll_ctl(w->set, EPOLL_CTL_ADD, w->event, &event);
            } else if (way == SIGNALFD) {
                sigset_t mask;
                sigemptyset(&mask);
                sigaddset(&mask, own_signal(w));
                w->set = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
            }
            if (pthread_create(&w->thread, NULL, way == ECHO || way == LISTEN ? serve : work, w))
                die("no thread");
        }
    for (int i = 0; i < LOCKERS; i++)
        if (pthread_create(&lockers[i], NULL, lock_and_unlock, &locked_rounds[i]))
            die("no thread");
}

static int is_server(const struct worker *w)
{
    return w->way == ECHO || w->way == LISTEN;
}

static int await(const unsigned *counter, unsigned value)
{
    for (int i = 0; i < PATIENCE_MS * 2 && __atomic_load_n(counter, __ATOMIC_ACQUIRE) < value; i++)
        nap(500);
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE) == value;
}

/* All threads do a round, all locks can be had, all counts are right. */
static void check(char *answer)
{
    unsigned long before[LOCKERS];
    memcpy(before, locked_rounds, sizeof before);
    for (int i = 0; i < worker_count; i++)
        if (!is_server(&workers[i]))
            want_round(&workers[i]);
    for (int i = 0; i < worker_count; i++) {
        struct worker *w = &workers[i];
        const char *problem = is_server(w) || await(&w->done, w->wanted) ? w->problem : "it does not go on";
        if (!problem && pthread_kill(w->thread, 0))
            problem = "it is not there for signals";
        if (problem) {
            snprintf(answer, LINE, "thread %d (%s): %s", i, way_names[w->way], problem);
            return;
        }
    }
    for (int i = 0; i < LOCKERS; i++) {
        for (int wait = 0; wait < PATIENCE_MS && before[i] == __atomic_load_n(&locked_rounds[i], __ATOMIC_ACQUIRE); wait++)
            nap(1000);
        if (before[i] == locked_rounds[i] || locker_problem) {
            snprintf(answer, LINE, "recursive mutex: %s", locker_problem ? locker_problem : "nobody gets it");
            return;
        }
    }
    for (int i = 0; i < 5; i++) {
        uint64_t value = 0;
        if (i == 1 || event_values[i]) {
            if (read(events[i], &value, 8) != 8 || write(events[i], &value, 8) != 8)
                value = ~0ull;
        } else if (read(events[i], &value, 8) != -1 || errno != EAGAIN) {
            value = ~0ull;
        }
        if (value != event_values[i]) {
            snprintf(answer, LINE, "eventfd %d has %llx", i, (unsigned long long)value);
            return;
        }
    }
    strcpy(answer, "ok");
}

/* Empties every eventfd: other processes' must keep what they have. */
static void drain(char *answer)
{
    uint64_t value;
    for (int i = 1; i < 4; i++)
        if (read(events[i], &value, 8) != 8)
            strcpy(answer, "nothing to drain");
    if (read(events[4], &value, 8) != -1)
        strcpy(answer, "duplicates of an eventfd are no longer the same");
    for (int i = 1; i < 4; i++)
        if (write(events[i], &event_values[i], 8) != 8)
            strcpy(answer, "an eventfd cannot be filled");
}

/* All threads end, and are joined. */
static void end_threads(char *answer)
{
    stopping = 1;
    for (int i = 0; i < worker_count; i++) {
        uint64_t one = 1;
        if (is_server(&workers[i]) && write(workers[i].event, &one, 8) != 8)
            strcpy(answer, "eventfd");
        want_round(&workers[i]);
    }
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_MS / 1000;
    for (int i = 0; i < worker_count + LOCKERS; i++)
        if (pthread_timedjoin_np(i < worker_count ? workers[i].thread : lockers[i - worker_count], NULL, &deadline))
            snprintf(answer, LINE, "thread %d does not end", i);
}

/* What a processor of a machine executes, in the place of translated code, and how often it has. */
static unsigned long processed;
extern const char __start_processor[], __stop_processor[];

static __attribute__((section("processor"), noinline)) void *be_processor(void *argument)
{
    int *goes_on = argument;
    while (__atomic_load_n(goes_on, __ATOMIC_RELAXED))
        __atomic_fetch_add(&processed, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *spin(void *argument)
{
    int *goes_on = argument;
    while (__atomic_load_n(goes_on, __ATOMIC_RELAXED))
        ;
    return NULL;
}

static void *sleep_for_ever(void *argument)
{
    sem_wait(argument);
    return NULL;
}

/* Something that live fork must refuse; opened, or taken away again. */
static void odd_thing(const char *what, int open_it, char *answer)
{
    static int fds[2] = {-1, -1}, many[600], spinning, processing;
    static pthread_t thread, processor, crowd[140];
    static sem_t crowd_semaphore;
    if (!strcmp(what, "processor")) {
        __atomic_store_n(&processing, open_it, __ATOMIC_RELAXED);
        if (open_it)
            pthread_create(&processor, NULL, be_processor, &processing);
        else
            pthread_join(processor, NULL);
        return;
    }
    if (!strcmp(what, "busy thread") || !strcmp(what, "many threads")) {
        int is_crowd = what[0] == 'm';
        if (open_it && is_crowd) {
            sem_init(&crowd_semaphore, 0, 0);
            for (int i = 0; i < 140; i++)
                if (pthread_create(&crowd[i], NULL, sleep_for_ever, &crowd_semaphore))
                    die("no thread");
        } else if (open_it) {
            spinning = 1;
            pthread_create(&thread, NULL, spin, &spinning);
        } else if (is_crowd) {
            for (int i = 0; i < 140; i++)
                sem_post(&crowd_semaphore);
            for (int i = 0; i < 140; i++)
                pthread_join(crowd[i], NULL);
        } else {
            __atomic_store_n(&spinning, 0, __ATOMIC_RELAXED);
            pthread_join(thread, NULL);
        }
        return;
    }
    if (!strcmp(what, "many descriptors")) {
        for (int i = 0; i < 600; i++)
            if (open_it)
                many[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            else
                close(many[i]);
        return;
    }
    if (!open_it) {
        for (int i = 0; i < 2; i++) {
            if (fds[i] >= 0)
                close(fds[i]);
            fds[i] = -1;
        }
        return;
    }
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (!strcmp(what, "pipe"))
        (void)!pipe2(fds, O_CLOEXEC);
    else if (!strcmp(what, "timerfd"))
        fds[0] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    else if (!strcmp(what, "inotify"))
        fds[0] = inotify_init1(IN_CLOEXEC);
    else if (!strcmp(what, "memory file"))
        fds[0] = memfd_create("test", MFD_CLOEXEC);
    else if (!strcmp(what, "process descriptor"))
        fds[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
    else if (!strcmp(what, "semaphore eventfd"))
        fds[0] = eventfd(3, EFD_CLOEXEC | EFD_SEMAPHORE);
    else if (!strcmp(what, "socket pair"))
        (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    else if (!strcmp(what, "strange socket"))
        fds[0] = open_unix("strange.sock", 1);
    else if (!strcmp(what, "internet socket")) {
        fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)!bind(fds[0], (struct sockaddr *)&loopback, sizeof loopback);
    } else if (!strcmp(what, "directory"))
        fds[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else if (!strcmp(what, "terminal"))
        fds[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    else if (!strcmp(what, "writable file"))
        fds[0] = open("unspoken", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fds[0] < 0)
        snprintf(answer, LINE, "cannot open a %s: %s", what, strerror(errno));
    unlink("strange.sock");
}

/* A machine that runs, and has written to its disk when it has, or a moment later. */
static void describe_running(struct livefork_running *running, int late)
{
    struct stat status;
    memset(running, 0, sizeof *running);
    snprintf(running->disk, sizeof running->disk, "%s/overlay", directory);
    if (stat(running->disk, &status))
        die("stat: %s", strerror(errno));
    running->written = status.st_mtim;
    running->written.tv_nsec ^= late;
    running->code_start = (uintptr_t)__start_processor;
    running->code_end = (uintptr_t)__stop_processor;
}

/* fork, run or late, NAME HOST: into the directory of that name. Answers in the parent only. */
static void fork_here(const char *how, const char *name, const char *host, char *answer)
{
    static struct livefork_running running;
    static struct livefork_request request;
    static struct livefork_result result;
    memset(&request, 0, sizeof request);
    snprintf(request.directory, sizeof request.directory, "%s/%s", root, name);
    snprintf(request.host, sizeof request.host, "%s/%.32s", root, host);
    memcpy(request.token, "0123456789abcdef", LIVEFORK_TOKEN);
    const char *files[] = {"overlay", "journal"};
    for (int i = 0; i < 2; i++) {
        snprintf(request.files[i].from, sizeof request.files[i].from, "%s/%s", directory, files[i]);
        snprintf(request.files[i].to, sizeof request.files[i].to, "%s/%s/%s", root, name, files[i]);
    }
    snprintf(request.files[2].from, sizeof request.files[2].from, "%s/shared", root);
    request.nfiles = 3;
    strcpy(request.sockets[0].path, "qmp.sock");
    strcpy(request.sockets[1].path, "agent.sock");
    request.nsockets = 2;
    request.control_listener = -1;
    request.control_connection = control;
    if (how[0] != 'f') {
        describe_running(&running, how[0] == 'l');
        request.running = &running;
    }
    mkdir(request.directory, 0700);
    close(open(request.files[0].to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    switch (livefork(&request, &result)) {
    case 0:
        control = result.control;
        snprintf(directory, sizeof directory, "%s/%s", root, name);
        answer[0] = 0;
        break;
    case 1:
        snprintf(answer, LINE, "forked %d", (int)result.pid);
        break;
    default:
        snprintf(answer, LINE, "%s: %s", result.pid == 0 ? "not now" : "refused", result.error);
    }
}

static void do_command(char *line, char *answer)
{
    char how[8] = "", first[64] = "", second[64] = "";
    strcpy(answer, "ok");
    if (sscanf(line, "%7s %63s %63s", how, first, second) == 3 && (!strcmp(how, "fork") || !strcmp(how, "run") || !strcmp(how, "late")))
        fork_here(how, first, second, answer);
    else if (!strcmp(line, "processed"))
        snprintf(answer, LINE, "%lu", __atomic_load_n(&processed, __ATOMIC_RELAXED));
    else if (!strcmp(line, "processors"))
        livefork_processors();
    else if (!strcmp(line, "check"))
        check(answer);
    else if (!strcmp(line, "drain"))
        drain(answer);
    else if (!strcmp(line, "end"))
        end_threads(answer);
    else if (sscanf(line, "write %63s", first) == 1) {
        if (pwrite(overlay, first, strlen(first), 0) < 0 || write(journal, first, strlen(first)) < 0)
            snprintf(answer, LINE, "write: %s", strerror(errno));
    } else if (sscanf(line, "open %63[^\n]", first) == 1)
        odd_thing(first, 1, answer);
    else if (sscanf(line, "close %63[^\n]", first) == 1)
        odd_thing(first, 0, answer);
    else
        strcpy(answer, "unknown command");
}

static _Noreturn void be_subject(void)
{
    sigset_t all;
    char error[LIVEFORK_ERROR], line[LINE], answer[LINE];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    snprintf(directory, sizeof directory, "%s/first", root);
    if (chdir(directory))
        die("chdir: %s", strerror(errno));
    char path[256];
    snprintf(path, sizeof path, "%s/overlay", directory);
    overlay = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    snprintf(path, sizeof path, "%s/journal", directory);
    journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    dup2(journal, 1);
    dup2(journal, 2);
    snprintf(path, sizeof path, "%s/shared", root);
    if (open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) < 0 || open("/proc/self/exe", O_RDONLY | O_CLOEXEC) < 0)
        die("open: %s", strerror(errno));
    /* As QEMU's monitor: a listener, and a connection that came over it. */
    int qmp = open_unix("qmp.sock", 1);
    (void)!write(control, "ready\n", 6);
    connection = accept4(qmp, NULL, NULL, SOCK_CLOEXEC);
    listener = open_unix("agent.sock", 1);
    start_workers();
    /* Again, as a server does that takes up what an earlier one left. */
    if (livefork_check(error) || livefork_check(error))
        die("check: %s", error);
    (void)!write(control, "ready\n", 6);
    size_t length = 0;
    for (;;) {
        if (length == LINE - 1 || read(control, line + length, 1) != 1)
            _exit(0);
        if (line[length] != '\n') {
            length++;
            continue;
        }
        line[length] = 0;
        length = 0;
        do_command(line, answer);
        if (answer[0])
            dprintf(control, "%s\n", answer);
    }
}

/* ---- the supervisor ---- */

struct peer {
    pid_t pid;
    int control, echo;
    char name[32];
};

static pid_t pids[1024];
static int pid_count;
static pid_t supervisor;
static int host = -1;

static void clean_up(void)
{
    for (int i = 0; i < pid_count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    (void)!system(command);
}

static _Noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vdprintf(1, format, arguments);
    va_end(arguments);
    dprintf(1, "\n");
    if (getpid() == supervisor)
        clean_up();
    _exit(1);
}

static int wait_readable(int fd)
{
    struct pollfd set = {fd, POLLIN, 0};
    return poll(&set, 1, PATIENCE_MS) == 1;
}

static void read_line(const struct peer *peer, const char *question, char *answer)
{
    size_t length = 0;
    for (;;) {
        if (!wait_readable(peer->control))
            die("%s does not answer to: %s", peer->name, question);
        if (length == LINE - 1 || read(peer->control, answer + length, 1) != 1)
            die("%s is gone at: %s", peer->name, question);
        if (answer[length] == '\n')
            break;
        length++;
    }
    answer[length] = 0;
}

static void ask(const struct peer *peer, const char *question, char *answer)
{
    dprintf(peer->control, "%s\n", question);
    read_line(peer, question, answer);
}

static void demand(const struct peer *peer, const char *question)
{
    char answer[LINE];
    ask(peer, question, answer);
    if (strcmp(answer, "ok"))
        die("%s, %s: %s", peer->name, question, answer);
}

static struct peer start_subject(void)
{
    struct peer peer = {.name = "first"};
    char path[128], answer[LINE];
    int pair[2];
    snprintf(path, sizeof path, "%s/first", root);
    mkdir(path, 0700);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        die("socketpair: %s", strerror(errno));
    peer.control = pair[0];
    peer.pid = fork();
    if (peer.pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        control = dup2(pair[1], 20);
        /* Nothing of the supervisor's, nor of whoever started it. */
        for (int fd = 3; fd < 20; fd++)
            close(fd);
        close_range(21, ~0u, 0);
        be_subject();
    }
    pids[pid_count++] = peer.pid;
    close(pair[1]);
    read_line(&peer, "start", answer);
    snprintf(path, sizeof path, "%s/first/qmp.sock", root);
    peer.echo = open_unix(path, 0);
    read_line(&peer, "start", answer);
    return peer;
}

static void take_connection(struct peer *peer)
{
    struct livefork_preface preface;
    if (!wait_readable(host))
        die("%s does not connect", peer->name);
    int fd = accept4(host, NULL, NULL, SOCK_CLOEXEC);
    if (recv(fd, &preface, sizeof preface, MSG_WAITALL) != sizeof preface || memcmp(preface.magic, "cubefork", 8)
        || memcmp(preface.token, "0123456789abcdef", LIVEFORK_TOKEN) || preface.pid != peer->pid)
        die("%s has another preface", peer->name);
    if (!strcmp(preface.name, "control"))
        peer->control = fd;
    else if (!strcmp(preface.name, "qmp.sock"))
        peer->echo = fd;
    else
        die("%s connects as %.32s", peer->name, preface.name);
}

/* A running one may have to be asked more than once. */
static struct peer forked(const struct peer *parent, const char *how, int number)
{
    struct peer peer = {.control = -1, .echo = -1};
    char question[LINE], answer[LINE] = "";
    int pid;
    snprintf(peer.name, sizeof peer.name, "child-%d", number);
    snprintf(question, sizeof question, "%s %s host", how, peer.name);
    for (int i = 0; i < 1000 && (i == 0 || !strncmp(answer, "not now", 7)); i++)
        ask(parent, question, answer);
    if (sscanf(answer, "forked %d", &pid) != 1)
        die("%s cannot be forked: %s", parent->name, answer);
    peer.pid = pid;
    pids[pid_count++] = pid;
    take_connection(&peer);
    take_connection(&peer);
    return peer;
}

static struct peer fork_of(const struct peer *parent, int number)
{
    return forked(parent, "fork", number);
}

/* The connection and the listener are the process's own. */
static void check_sockets(const struct peer *peer)
{
    char byte = (char)(peer->pid % 26 + 'a'), back = 0, path[128], text[32] = "";
    if (send(peer->echo, &byte, 1, MSG_NOSIGNAL) != 1 || !wait_readable(peer->echo)
        || recv(peer->echo, &back, 1, 0) != 1 || back != byte)
        die("%s: its connection gives nothing back", peer->name);
    snprintf(path, sizeof path, "%s/%s/agent.sock", root, peer->name);
    int fd = open_unix(path, 0);
    if (!wait_readable(fd) || read(fd, text, sizeof text - 1) <= 0 || atoi(text) != peer->pid)
        die("%s: its listener leads to process %s", peer->name, text);
    close(fd);
}

static void check_files(const struct peer *peer)
{
    char question[LINE], path[128], text[64];
    snprintf(question, sizeof question, "write %s", peer->name);
    demand(peer, question);
    const char *files[] = {"overlay", "journal"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", root, peer->name, files[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(fd);
        if (strcmp(text, peer->name))
            die("%s: its file %s has \"%s\"", peer->name, files[i], text);
    }
}

static void end(struct peer *peer)
{
    int status;
    close(peer->control);
    close(peer->echo);
    /* A forked process is a child of whoever started the first. */
    if (waitpid(peer->pid, &status, 0) != peer->pid || status)
        die("%s ended with status %x", peer->name, status);
    for (int i = 0; i < pid_count; i++)
        if (pids[i] == peer->pid)
            pids[i] = 0;
}

/* Children, and theirs to the third generation, all alive together. */
static void family(void)
{
    struct peer all[10] = {start_subject()};
    int parents[] = {0, 0, 0, 0, 1, 1, 4, 6, 6, 8}, count = 1;
    demand(&all[0], "check");
    check_files(&all[0]);
    for (; count < 10; count++) {
        all[count] = fork_of(&all[parents[count]], count);
        demand(&all[count], "check");
    }
    for (int i = 0; i < count; i++) {
        check_sockets(&all[i]);
        demand(&all[i], "drain");
    }
    for (int i = 1; i < count; i++)
        check_files(&all[i]);
    for (int i = 0; i < count; i++)
        demand(&all[i], "check");
    for (int i = 0; i < count; i++)
        demand(&all[i], "end");
    for (int i = 0; i < count; i++)
        end(&all[i]);
}

/* One after the other, at any moment. */
static void repeated(void)
{
    struct peer first = start_subject();
    srandom(4711);
    for (int i = 0; i < 200; i++) {
        nap(random() % 5000);
        struct peer child = fork_of(&first, i);
        demand(&child, "check");
        if (i % 10 == 0) {
            check_sockets(&child);
            demand(&child, "end");
            demand(&first, "check");
        }
        end(&child);
    }
    demand(&first, "end");
    end(&first);
}

/* Whatever cannot be accounted for is refused, nothing has happened then, and without it the fork succeeds. */
static void refusals(void)
{
    static const char *const things[][2] = {
        {"pipe", "is of an unknown kind: pipe:"},
        {"timerfd", "is of an unknown kind: anon_inode:[timerfd]"},
        {"inotify", "is of an unknown kind: anon_inode:inotify"},
        {"memory file", "is of an unknown kind: /memfd:test"},
        {"process descriptor", "is of an unknown kind: "},
        {"semaphore eventfd", "an eventfd that is a semaphore"},
        {"socket pair", "is a socket of an unknown kind"},
        {"internet socket", "is a socket of an unknown kind"},
        {"strange socket", "is a socket that nobody spoke of: strange.sock"},
        {"directory", "is of an unknown kind: /"},
        {"terminal", "is of an unknown kind: /dev/"},
        {"writable file", "/first/unspoken"},
        {"busy thread", "is never at rest"},
        {"many threads", "more than 128 threads"},
        {"many descriptors", "more than 512 descriptors"},
    };
    struct peer first = start_subject();
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
        char question[LINE], answer[LINE];
        snprintf(question, sizeof question, "open %s", things[i][0]);
        demand(&first, question);
        ask(&first, "fork refused host", answer);
        if (strncmp(answer, "refused: ", 9) || !strstr(answer, things[i][1]))
            die("fork with a %s: %s", things[i][0], answer);
        demand(&first, "check");
        snprintf(question, sizeof question, "close %s", things[i][0]);
        demand(&first, question);
        struct peer child = fork_of(&first, (int)i);
        demand(&child, "check");
        end(&child);
    }
    end(&first);
}

static unsigned long processed_by(const struct peer *peer)
{
    char answer[LINE];
    ask(peer, "processed", answer);
    return strtoul(answer, NULL, 10);
}

/* A machine that runs is forked in the midst of its processor's code, which the child's does not go on with before it is let. */
static void running(void)
{
    char answer[LINE];
    struct peer first = start_subject();
    demand(&first, "open processor");
    ask(&first, "fork child-0 host", answer);
    if (!strstr(answer, "is never at rest") || strncmp(answer, "refused", 7))
        die("a machine that runs was forked as one that stands still: %s", answer);
    ask(&first, "late child-0 host", answer);
    if (strncmp(answer, "not now: ", 9))
        die("a machine was forked without what it had written: %s", answer);
    demand(&first, "check");
    for (int i = 1; i <= 20; i++) {
        struct peer child = forked(&first, "run", i);
        unsigned long before = processed_by(&child);
        nap(20000);
        if (processed_by(&child) != before)
            die("%s: its processor ran before it was let", child.name);
        ask(&child, "run child-0 host", answer);
        if (!strstr(answer, "do not run yet"))
            die("%s, forked while its processor did not run: %s", child.name, answer);
        demand(&child, "processors");
        demand(&child, "processors");
        demand(&child, "check");
        for (int wait = 0; wait < PATIENCE_MS && processed_by(&child) == before; wait++)
            nap(1000);
        if (processed_by(&child) == before)
            die("%s: its processor does not go on", child.name);
        struct peer grandchild = forked(&child, "run", 100 + i);
        demand(&grandchild, "processors");
        demand(&grandchild, "check");
        demand(&grandchild, "close processor");
        demand(&grandchild, "end");
        end(&grandchild);
        end(&child);
    }
    demand(&first, "check");
    demand(&first, "open busy thread");
    ask(&first, "run child-0 host", answer);
    if (strncmp(answer, "not now: ", 9) || !strstr(answer, "is never at rest"))
        die("a busy thread that is no processor: %s", answer);
    demand(&first, "close busy thread");
    demand(&first, "close processor");
    demand(&first, "end");
    end(&first);
}

/* A child that cannot reach the host says so and ends; its parent goes on. */
static void unreachable(void)
{
    struct peer first = start_subject();
    char answer[LINE], path[128], text[256] = "";
    int pid, status;
    ask(&first, "fork lost nowhere", answer);
    if (sscanf(answer, "forked %d", &pid) != 1)
        die("%s", answer);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 70)
        die("the lost child ended with status %x", status);
    snprintf(path, sizeof path, "%s/lost/journal", root);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (read(fd, text, sizeof text - 1) <= 0 || !strstr(text, "live fork: cannot connect to the host"))
        die("the lost child said: %s", text);
    close(fd);
    demand(&first, "check");
    end(&first);
}

int main(int argc, char **argv)
{
    supervisor = getpid();
    strcpy(root, "/tmp/livefork-XXXXXX");
    char path[128];
    if (argc != 2 || !mkdtemp(root))
        return 2;
    snprintf(path, sizeof path, "%s/host", root);
    host = open_unix(path, 1);
    if (!strcmp(argv[1], "family"))
        family();
    else if (!strcmp(argv[1], "repeated"))
        repeated();
    else if (!strcmp(argv[1], "refusals"))
        refusals();
    else if (!strcmp(argv[1], "running"))
        running();
    else if (!strcmp(argv[1], "unreachable"))
        unreachable();
    else
        die("no such case");
    clean_up();
    return 0;
}
