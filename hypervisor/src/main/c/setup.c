#define _GNU_SOURCE
#include "cubemem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A third of the processor time of one who does not give way. */
#define NICE 5

struct cubemem_settings cubemem_settings;

void cubemem_die(const char *what, int error)
{
    dprintf(STDERR_FILENO, "libcubemem: %s: %s\n", what, strerror(error));
    _exit(71);
}

/* Optional, so that a value that the kernel refuses does not keep the VM from starting. */
static void set_oom_score(const char *value)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (write(fd, value, strlen(value)) < 0) {
        dprintf(STDERR_FILENO, "libcubemem: oom_score_adj %s: %s\n", value, strerror(errno));
    }
    close(fd);
}

/*
 * The server, which all VMs wait for, comes before what guests do. Where the kernel groups processes by session, the group's nice value is
 * what counts, and a process's own only within it. A fork has both of its parent.
 */
static void be_nice(void)
{
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        dprintf(fd, "%d", NICE);
        close(fd);
    }
}

/*
 * Runs before main(). The process is prepared here and not by a wrapper, which would cost another exec for each QEMU: a
 * session of its own, so that it outlives the server and the server's terminal.
 */
__attribute__((constructor)) static void cubemem_setup(void)
{
    const char *file = getenv("CUBEMEM_FILE");
    if (file == NULL) {
        return;
    }
    const char *socket = getenv("CUBEMEM_CONTROL");
    if (socket == NULL) {
        cubemem_die("CUBEMEM_CONTROL is not set", EINVAL);
    }
    const char *mode = getenv("CUBEMEM_MODE");
    if (mode == NULL || (strcmp(mode, "private") != 0 && strcmp(mode, "shared") != 0)) {
        cubemem_die("CUBEMEM_MODE must be private or shared", EINVAL);
    }
    cubemem_settings = (struct cubemem_settings){
        .memory_file = file,
        .control_socket = socket,
        .private_memory = strcmp(mode, "private") == 0,
        .forkable = getenv("CUBEMEM_FORKABLE") != NULL,
    };
    /* Fails only for a process group leader, which already is out of reach of the server's terminal. */
    (void)setsid();
    be_nice();
    const char *oom_score = getenv("CUBEMEM_OOM_SCORE");
    if (oom_score != NULL) {
        set_oom_score(oom_score);
    }
    unsetenv("LD_PRELOAD");
}
