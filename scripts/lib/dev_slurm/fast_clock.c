/* A clock that goes faster than the machine's, for all processes that are started with this in LD_PRELOAD.
 *
 * REPLAY_CLOCK names a file of 64 bytes that says how the time is made from CLOCK_MONOTONIC; whoever writes it may change
 * it at any time. Times, and waits with a limit, follow it: no wait sleeps for longer at once than it would last at the
 * fastest rate, or than CHUNK, so that a wait begun while the time was slow ends in time when it has become fast. Nothing
 * is locked, so that it works in signal handlers and between fork and exec. Timers that send signals, and timeouts of
 * sockets, keep to the machine's time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define CHUNK (10 * SECOND / 1000)
#define LONGEST (60 * SECOND)
#define PROFILER "acctg_prof"

/* The file. `turn` is odd while the rest is being written. Up to `until` the time goes at `rate`, then at `after`. */
struct clock_file {
    volatile uint64_t turn;
    int64_t machine;  /* CLOCK_MONOTONIC, ns, at which the time was */
    int64_t time;     /* this, ns since 1970 */
    int64_t until;    /* ns since 1970 */
    double rate, after;
    int64_t begin;    /* the time, ns since 1970, at which CLOCK_MONOTONIC of these processes was 0 */
    double fastest;   /* no rate will be above it */
};

static const struct clock_file *file;
static int (*machine_clock)(clockid_t, struct timespec *);
static int (*machine_poll)(struct pollfd *, nfds_t, int);
static int (*machine_ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
static int (*machine_select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
static int (*machine_epoll)(int, struct epoll_event *, int, int);
static int (*machine_clockwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
static int (*machine_semwait)(sem_t *, clockid_t, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("REPLAY_CLOCK");
    machine_clock = dlsym(RTLD_NEXT, "clock_gettime");
    machine_poll = dlsym(RTLD_NEXT, "poll");
    machine_ppoll = dlsym(RTLD_NEXT, "ppoll");
    machine_select = dlsym(RTLD_NEXT, "select");
    machine_epoll = dlsym(RTLD_NEXT, "epoll_wait");
    machine_clockwait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    machine_semwait = dlsym(RTLD_NEXT, "sem_clockwait");
    int opened = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (opened >= 0) {
        void *found = mmap(NULL, sizeof(struct clock_file), PROT_READ, MAP_SHARED, opened, 0);
        if (found != MAP_FAILED)
            file = found;
        close(opened);
    }
}

static int64_t machine_now(void)
{
    struct timespec now;
    if (machine_clock)
        machine_clock(CLOCK_MONOTONIC, &now);
    else
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* The time now, and the machine's nanoseconds for which to wait at once until it is `goal`. */
static int64_t time_now(int64_t goal, int64_t *part)
{
    struct clock_file now;
    do {
        while ((now.turn = __atomic_load_n(&file->turn, __ATOMIC_ACQUIRE)) & 1)
            ;
        now.machine = file->machine;
        now.time = file->time;
        now.until = file->until;
        now.rate = file->rate;
        now.after = file->after;
        now.fastest = file->fastest;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&file->turn, __ATOMIC_RELAXED) != now.turn);
    int64_t passed = machine_now() - now.machine;
    int64_t time = now.time + (int64_t)(passed * now.rate);
    double rate = now.rate;
    if (time > now.until) {
        int64_t first = now.until > now.time ? (int64_t)((now.until - now.time) / now.rate) : 0;
        int64_t turned = now.until > now.time ? now.until : now.time;
        time = turned + (int64_t)((passed - first) * now.after);
        rate = now.after;
    }
    if (part) {
        int64_t left = goal > time ? (int64_t)((goal - time) / rate) + 1 : 0;
        int64_t most = (int64_t)((goal - time) / now.fastest);
        most = most < CHUNK ? CHUNK : most > LONGEST ? LONGEST : most;
        *part = left < most ? left : most;
    }
    return time;
}

static struct timespec as_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

static int64_t as_ns(const struct timespec *at)
{
    return at->tv_sec * SECOND + at->tv_nsec;
}

/* --- what time it is --------------------------------------------------------------------------------------- */

static int is_real(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int passes = is_real(clock) || clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW ||
                 clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME;
    if (!file || !passes)
        return machine_clock ? machine_clock(clock, now) : (int)syscall(SYS_clock_gettime, clock, now);
    *now = as_timespec(time_now(0, NULL) - (is_real(clock) ? 0 : file->begin));
    return 0;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec at;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *also)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (also)
        *also = at.tv_sec;
    return at.tv_sec;
}

/* --- sleeping ---------------------------------------------------------------------------------------------- */

/* Sleep until the time is `goal`; an errno. */
static int sleep_until(int64_t goal)
{
    int64_t part;
    while (time_now(goal, &part), part > 0) {
        struct timespec wait = as_timespec(part);
        if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, NULL))
            return errno;
    }
    return 0;
}

static int sleep_for(const struct timespec *asked, struct timespec *rest)
{
    if (!file)
        return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, asked, rest) ? errno : 0;
    int64_t goal = time_now(0, NULL) + as_ns(asked);
    int error = sleep_until(goal);
    if (error == EINTR && rest) {
        int64_t left = goal - time_now(0, NULL);
        *rest = as_timespec(left > 0 ? left : 0);
    }
    return error;
}

int nanosleep(const struct timespec *asked, struct timespec *rest)
{
    int error = sleep_for(asked, rest);
    errno = error ? error : errno;
    return error ? -1 : 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *asked, struct timespec *rest)
{
    if (!(flags & TIMER_ABSTIME))
        return sleep_for(asked, rest);
    if (!file)
        return syscall(SYS_clock_nanosleep, clock, flags, asked, rest) ? errno : 0;
    return sleep_until(as_ns(asked) + (is_real(clock) ? 0 : file->begin));
}

int usleep(useconds_t asked)
{
    struct timespec at = as_timespec(asked * 1000LL);
    return nanosleep(&at, NULL);
}

unsigned int sleep(unsigned int asked)
{
    struct timespec at = {.tv_sec = asked}, rest = {0};
    return nanosleep(&at, &rest) ? rest.tv_sec + (rest.tv_nsec > 0) : 0;
}

/* --- waiting for something, or for a while ----------------------------------------------------------------- */

int poll(struct pollfd *these, nfds_t count, int milliseconds)
{
    if (!file || milliseconds <= 0)
        return machine_poll(these, count, milliseconds);
    int64_t part, goal = time_now(0, NULL) + milliseconds * (SECOND / 1000);
    while (time_now(goal, &part), part > 0) {
        struct timespec wait = as_timespec(part);
        int found = machine_ppoll(these, count, &wait, NULL);
        if (found)
            return found;
    }
    return machine_poll(these, count, 0);
}

int ppoll(struct pollfd *these, nfds_t count, const struct timespec *asked, const sigset_t *mask)
{
    if (!file || !asked)
        return machine_ppoll(these, count, asked, mask);
    int64_t part, goal = time_now(0, NULL) + as_ns(asked);
    do {
        time_now(goal, &part);
        struct timespec wait = as_timespec(part);
        int found = machine_ppoll(these, count, &wait, mask);
        if (found)
            return found;
    } while (part > 0);
    return 0;
}

int select(int count, fd_set *in, fd_set *out, fd_set *bad, struct timeval *asked)
{
    if (!file || !asked)
        return machine_select(count, in, out, bad, asked);
    int64_t part, goal = time_now(0, NULL) + asked->tv_sec * SECOND + asked->tv_usec * 1000LL;
    fd_set ins, outs, bads;
    if (in) ins = *in;
    if (out) outs = *out;
    if (bad) bads = *bad;
    for (;;) {
        time_now(goal, &part);
        struct timeval wait = {.tv_sec = part / SECOND, .tv_usec = part % SECOND / 1000};
        int found = machine_select(count, in, out, bad, &wait);
        if (found || part <= 0)
            return found;
        if (in) *in = ins;
        if (out) *out = outs;
        if (bad) *bad = bads;
    }
}

int epoll_wait(int set, struct epoll_event *events, int most, int milliseconds)
{
    if (!file || milliseconds <= 0)
        return machine_epoll(set, events, most, milliseconds);
    int64_t part, goal = time_now(0, NULL) + milliseconds * (SECOND / 1000);
    while (time_now(goal, &part), part > 0) {
        int found = machine_epoll(set, events, most, (int)(part / (SECOND / 1000)) + 1);
        if (found)
            return found;
    }
    return machine_epoll(set, events, most, 0);
}

/* The goal of a wait: Slurm's conditions count from 1970, some of the C library's own from the machine's start. */
static int64_t goal_of(const struct timespec *at)
{
    int64_t goal = as_ns(at);
    return goal < file->begin / 2 ? goal + file->begin : goal;
}

/* A step has a thread that looks once a second whether it is time to note what its job uses. In a replay nobody asks for
 * that, and hundreds of them would take most of the machine: they look once in a second of the machine's. */
static int is_profiler(void)
{
    static __thread signed char is = -1;
    if (is < 0) {
        char name[16] = "";
        prctl(PR_GET_NAME, name);
        is = !strcmp(name, PROFILER);
    }
    return is;
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *at)
{
    if (!file)
        return machine_clockwait(condition, mutex, clock, at);
    int64_t part, goal = goal_of(at);
    while (time_now(goal, &part), part > 0) {
        struct timespec wait = as_timespec(machine_now() + (is_profiler() ? SECOND : part));
        int error = machine_clockwait(condition, mutex, CLOCK_MONOTONIC, &wait);
        if (error != ETIMEDOUT)
            return error;
    }
    return ETIMEDOUT;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *at)
{
    return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, at);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *at)
{
    if (!file)
        return machine_semwait(semaphore, clock, at);
    int64_t part, goal = goal_of(at);
    while (time_now(goal, &part), part > 0) {
        struct timespec wait = as_timespec(machine_now() + part);
        if (!machine_semwait(semaphore, CLOCK_MONOTONIC, &wait))
            return 0;
        if (errno != ETIMEDOUT)
            return -1;
    }
    errno = ETIMEDOUT;
    return -1;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *at)
{
    return sem_clockwait(semaphore, CLOCK_REALTIME, at);
}
