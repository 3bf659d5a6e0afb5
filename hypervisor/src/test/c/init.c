/*
 * The guest of this module's integration tests: PID 1 of a tiny initramfs. It loads the kernel modules of /modules and
 * answers one-line commands on the agent's port.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static unsigned char *region;
static size_t region_size;
static int port = -1;

static void load_modules(void)
{
    FILE *order = fopen("/modules/load-order", "r");
    char name[128], path[256];
    while (order != NULL && fscanf(order, "%127s", name) == 1) {
        snprintf(path, sizeof path, "/modules/%s.ko", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) {
            printf("init: %s: %s\n", path, strerror(errno));
        }
        close(fd);
    }
    if (order != NULL) {
        fclose(order);
    }
}

static int open_port(void)
{
    for (;;) {
        for (int i = 0; i < 8; i++) {
            char path[64], name[64] = "";
            snprintf(path, sizeof path, "/sys/class/virtio-ports/vport0p%d/name", i);
            FILE *file = fopen(path, "r");
            if (file == NULL) {
                continue;
            }
            if (fscanf(file, "%63s", name) == 1 && strcmp(name, "dev.cube.agent") == 0) {
                fclose(file);
                snprintf(path, sizeof path, "/dev/vport0p%d", i);
                int fd = open(path, O_RDWR | O_CLOEXEC);
                if (fd >= 0) {
                    return fd;
                }
            } else {
                fclose(file);
            }
        }
        usleep(10000);
    }
}

static void fill(size_t megabytes, unsigned seed)
{
    region_size = megabytes << 20;
    region = malloc(region_size);
    for (size_t i = 0; i < region_size; i += 8) {
        unsigned long value = seed * 1000003ul + i;
        memcpy(region + i, &value, sizeof value);
    }
}

static unsigned long checksum(void)
{
    unsigned long sum = 0, value;
    for (size_t i = 0; i < region_size; i += 8) {
        memcpy(&value, region + i, sizeof value);
        sum = sum * 31 + value;
    }
    return sum;
}

static void disk_write(const char *disk, off_t offset, const char *text, char *answer, size_t size)
{
    char block[4096] = "";
    strncpy(block, text, sizeof block - 1);
    int fd = open(disk, O_RDWR | O_CLOEXEC);
    int ok = fd >= 0 && pwrite(fd, block, sizeof block, offset) == sizeof block && fsync(fd) == 0;
    snprintf(answer, size, "%s", ok ? "ok" : strerror(errno));
    close(fd);
}

static void disk_read(const char *disk, off_t offset, char *answer, size_t size)
{
    char block[4096];
    int fd = open(disk, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ioctl(fd, BLKFLSBUF, 0);
    }
    int ok = fd >= 0 && pread(fd, block, sizeof block, offset) == sizeof block;
    block[sizeof block - 1] = 0;
    snprintf(answer, size, "%.200s", ok ? block : strerror(errno));
    close(fd);
}

static void answer_command(char *line)
{
    char answer[512] = "ok", disk[64] = "", text[256] = "";
    unsigned long first = 0, second = 0;
    struct sysinfo info;
    if (strcmp(line, "ping") == 0) {
        strcpy(answer, "pong");
    } else if (sscanf(line, "fill %lu %lu", &first, &second) == 2) {
        fill(first, (unsigned)second);
    } else if (sscanf(line, "poke %lu %lu", &first, &second) == 2) {
        memcpy(region + first, &second, sizeof second);
    } else if (strcmp(line, "sum") == 0) {
        snprintf(answer, sizeof answer, "%lu", checksum());
    } else if (sscanf(line, "write %63s %lu %255s", disk, &first, text) == 3) {
        disk_write(disk, (off_t)first, text, answer, sizeof answer);
    } else if (sscanf(line, "read %63s %lu", disk, &first) == 2) {
        disk_read(disk, (off_t)first, answer, sizeof answer);
    } else if (strcmp(line, "cpus") == 0) {
        snprintf(answer, sizeof answer, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    } else if (strcmp(line, "memory") == 0) {
        sysinfo(&info);
        snprintf(answer, sizeof answer, "%lu", info.totalram / 1024 * info.mem_unit / 1024);
    } else if (strcmp(line, "clock") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(answer, sizeof answer, "%ld", now.tv_sec * 1000 + now.tv_nsec / 1000000);
    } else if (strcmp(line, "flood") == 0) {
        for (int i = 0; i < 20000; i++) {
            printf("flood %d\n", i);
        }
    } else if (sscanf(line, "say %255[^\n]", text) == 1) {
        printf("%s\n", text);
    } else if (strcmp(line, "spin") == 0) {
        for (;;) {
        }
    } else if (strcmp(line, "poweroff") == 0) {
        reboot(RB_AUTOBOOT);
    } else if (strcmp(line, "panic") == 0) {
        exit(3);
    } else {
        snprintf(answer, sizeof answer, "unknown command");
    }
    strcat(answer, "\n");
    if (write(port, answer, strlen(answer)) < 0) {
        printf("init: write: %s\n", strerror(errno));
    }
}

int main(void)
{
    mount("proc", "/proc", "proc", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    mount("dev", "/dev", "devtmpfs", 0, "");
    int console = open("/dev/console", O_RDWR);
    if (console >= 0) {
        dup2(console, 0);
        dup2(console, 1);
        dup2(console, 2);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_modules();
    port = open_port();
    printf("init: ready\n");
    char line[1024];
    size_t length = 0;
    for (;;) {
        char byte;
        ssize_t n = read(port, &byte, 1);
        if (n <= 0) {
            /* No host is connected. */
            usleep(2000);
            length = 0;
            continue;
        }
        if (byte == '\n') {
            line[length] = 0;
            length = 0;
            answer_command(line);
        } else if (length < sizeof line - 1) {
            line[length++] = byte;
        }
    }
}
