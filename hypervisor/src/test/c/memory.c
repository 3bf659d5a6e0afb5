/* Maps the file that is its argument, as QEMU maps guest memory, and waits. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    int fd = count == 2 ? open(arguments[1], O_RDWR) : -1;
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0
        || mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) {
        return 1;
    }
    pause();
    return 0;
}
