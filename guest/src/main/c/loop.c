/* The event loop and its helpers. */
#include "agent.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include "wire.h"

bool is_guest;
char run_directory[200] = "/run/cube";

static int epoll_fd = -1;
static struct object *dead;
static struct task run_queue = {&run_queue, &run_queue, false, NULL};

uint64_t monotonic_milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void object_free(struct object *object)
{
    object->next_dead = dead;
    dead = object;
}

static void ignore_event(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

bool watch_open(struct watch *watch, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events | EPOLLET, .data.ptr = watch};
    watch->fd = fd;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

void watch_close(struct watch *watch)
{
    if (watch->fd < 0)
        return;
    /* A copy of the descriptor in a child that has not yet called exec would keep it in the set: take it out by hand. */
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    close(watch->fd);
    watch->fd = -1;
    watch->on_event = ignore_event;
}

void task_queue(struct task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->previous = run_queue.previous;
    task->next = &run_queue;
    run_queue.previous->next = task;
    run_queue.previous = task;
}

void task_remove(struct task *task)
{
    if (!task->queued)
        return;
    task->queued = false;
    task->previous->next = task->next;
    task->next->previous = task->previous;
}

static void run_tasks(void)
{
    /* One step for each task that is queued now, so that the port and new events get their turn. */
    struct task end = {.step = NULL};
    task_queue(&end);
    while (run_queue.next != &end) {
        struct task *task = run_queue.next;
        if (!output_room())
            break;
        task_remove(task);
        task_queue(task);
        if (!task->step(task))
            task_remove(task);
    }
    task_remove(&end);
}

static void on_child(struct watch *watch, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof info) > 0)
        ;
    process_reap();
}

static void serve(void)
{
    struct epoll_event events[64];
    for (;;) {
        int timeout = process_timer_milliseconds(wire_connected());
        if (wire_connected() && run_queue.next != &run_queue && output_room())
            timeout = 0;
        int n = epoll_wait(epoll_fd, events, 64, timeout);
        for (int i = 0; i < n; i++) {
            struct watch *watch = events[i].data.ptr;
            watch->on_event(watch, events[i].events);
        }
        wire_input();
        process_timers(wire_connected());
        if (wire_connected())
            run_tasks();
        wire_flush();
        while (dead) {
            struct object *object = dead;
            dead = object->next_dead;
            free(object);
        }
    }
}

/* For tests on an ordinary host: serves one connection after another on a unix socket, as QEMU does for a guest. */
static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s.new", path);
    if (n >= (int)sizeof address.sun_path)
        die("socket path too long");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The name appears when the socket listens. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4)
        || rename(address.sun_path, path))
        die("cannot listen on %s: %s", path, strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    is_guest = getpid() == 1;
    int port = -1;
    if (is_guest) {
        port = boot();
    } else if (argc != 3) {
        fprintf(stderr, "usage: agent SOCKET RUN_DIRECTORY (or as PID 1 of a guest)\n");
        return 2;
    } else {
        snprintf(run_directory, sizeof run_directory, "%s", argv[2]);
        /* Ignored where a shell has started the tests in the background, and a shell started so cannot trap it. */
        signal(SIGINT, SIG_DFL);
    }

    sigset_t all;
    sigfillset(&all);
    if (!is_guest) {
        sigdelset(&all, SIGTERM);
        sigdelset(&all, SIGINT);
    }
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    static struct watch children = {.on_event = on_child};
    if (epoll_fd < 0 || !watch_open(&children, signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN))
        die("cannot make the event loop: %s", strerror(errno));
    identity_boot();
    if (is_guest)
        wire_use_port(port);
    else
        wire_use_listener(listen_on(argv[1]));
    serve();
}
