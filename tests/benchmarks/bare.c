/* The least that a C program does. Usage: bare IMAGE; for each line with a number N on its input it attaches and
 * detaches the image N times, and prints the nanoseconds that took. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int lost(void)
{
    return errno == EBUSY || errno == EAGAIN || errno == ENXIO || errno == ENOENT;
}

static int bound(int image)
{
    struct loop_config config;
    memset(&config, 0, sizeof config);
    config.fd = image;
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_PARTSCAN;
    for (;;) {
        char node[32];
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        close(control);
        snprintf(node, sizeof node, "/dev/loop%d", number);
        int device = open(node, O_RDONLY | O_CLOEXEC);
        if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0)
            return device;
        if (!lost()) {
            perror(node);
            exit(1);
        }
        if (device >= 0)
            close(device);
    }
}

static void cycle(const char *path)
{
    int image = open(path, O_RDONLY | O_CLOEXEC);
    int device = bound(image);
    ioctl(device, LOOP_CLR_FD);
    close(device);
    close(image);
}

int main(int argc, char **argv)
{
    char line[32];
    if (argc != 2)
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        struct timespec begin, end;
        long times = strtol(line, NULL, 10);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (long i = 0; i < times; i++)
            cycle(argv[1]);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + (end.tv_nsec - begin.tv_nsec));
        fflush(stdout);
    }
    return 0;
}
