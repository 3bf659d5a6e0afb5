/*
 * Live fork: a running process with all its threads, in two copies.
 *
 * fork(2) copies a process but only the calling thread. Here the other threads are first parked in a signal handler,
 * where the kernel has written their whole state on their own stacks; after the fork the child makes a new kernel
 * thread for each, on the same thread block (TLS), which returns from the parked handler as if nothing had happened.
 * Memory, glibc's state and QEMU's translated code are shared copy-on-write.
 *
 * Meant for QEMU under TCG, whose virtual machine is stopped, or runs and does nothing at that instant but translated code. One
 * caller at a time, from a thread that QEMU does not know of. Nothing here may allocate between parking and release: a parked
 * thread may hold the allocator's locks.
 */
#ifndef CUBE_LIVEFORK_H
#define CUBE_LIVEFORK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define LIVEFORK_PATH 108   /* bytes with the final zero, as in sockaddr_un */
#define LIVEFORK_TOKEN 16   /* bytes */
#define LIVEFORK_FILES 16   /* replacements in one request */
#define LIVEFORK_NAME 32    /* bytes of a socket's file name with the final zero */
#define LIVEFORK_SOCKETS 8  /* sockets in one request */
#define LIVEFORK_ERROR 200  /* bytes of an error text */

/*
 * What becomes of a file that the parent has open: the child opens it anew under another name, or, where `to` is empty,
 * shares the parent's. Files open for reading only are shared unasked; for any other that is not spoken of, the fork is
 * refused.
 */
struct livefork_file {
    char from[4096];
    char to[4096];
};

/*
 * What becomes of the unix socket of the parent that has this file name: the child listens here on its own. A connection that
 * came over the parent's is made anew, to the host, or, where `cut` is not zero, has ended in the child.
 */
struct livefork_socket {
    char path[LIVEFORK_PATH];       /* absolute, or in the child's working directory */
    uint32_t cut;
};

/* What the child sends first on each connection that it makes to the host. Native byte order. */
struct livefork_preface {
    char magic[8];                  /* "cubefork" */
    unsigned char token[LIVEFORK_TOKEN];
    char name[LIVEFORK_NAME];       /* file name of the socket, or "control" */
    int32_t pid;                    /* of the child, in its own PID namespace */
    int32_t reserved;
};

/*
 * A machine that runs: its processors may be in translated code, where QEMU holds no lock, instead of waiting. In the child they
 * stay parked until livefork_processors(). Its disk is a copy in the child, of a file that must not have been written to since.
 */
struct livefork_running {
    uintptr_t code_start, code_end; /* equal where processors may not */
    char disk[4096];
    struct timespec written;        /* when the file was modified last */
};

struct livefork_request {
    const struct livefork_running *running; /* NULL: the machine is stopped */
    char directory[4096];           /* the child's working directory, absolute */
    char host[LIVEFORK_PATH];       /* listening socket to which the child connects */
    unsigned char token[LIVEFORK_TOKEN];
    unsigned nfiles;
    struct livefork_file files[LIVEFORK_FILES];
    unsigned nsockets;
    struct livefork_socket sockets[LIVEFORK_SOCKETS];
    int control_listener;           /* the caller's own descriptors, which the child closes; -1 if there is none */
    int control_connection;
};

struct livefork_result {
    pid_t pid;                      /* of the child, to the parent */
    int control;                    /* to the child: its control connection to the host */
    unsigned threads;               /* parked */
    uint32_t park_us, plan_us, fork_us;
    char error[LIVEFORK_ERROR];
};

/*
 * Finds out what live fork relies on in this process: where glibc keeps a thread's ID, that parking works, and that no
 * memory would stay shared. Call it before, from the thread that will fork. Returns 0, or -1 with a text in error.
 */
int livefork_check(char error[LIVEFORK_ERROR]);

/*
 * Forks. Returns 1 to the parent, 0 to the child, in which the other threads run again, and -1 to the parent with an
 * error when nothing has happened. Where all that stands against it is what the running machine does, pid is 0 then. A child that
 * cannot complete says why on its standard error and exits with 70.
 */
int livefork(const struct livefork_request *request, struct livefork_result *result);

/* Lets the processors go on that a fork has left parked, if any. A failure ends the child. Thread-safe. */
void livefork_processors(void);

/* Where the child is to have the socket of that file name; the name itself where the request does not speak of it. */
const char *livefork_socket_path(const struct livefork_request *request, const char *name);

#endif
