/* Stands in for NVIDIA's management library, libnvidia-ml.so.1, on machines without a GPU: the functions and structures
 * of nvml.h that this program uses. What it answers is in the file that STAND_IN_NVML names, which the test writes and
 * may change at any time: see nvml_stand_in.py for its layout. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };
enum { NONE, GPU, PART };
enum { UNITS = 16 };

typedef struct {
    long long kind, error, parent, instance, mig, gpm, busy, sm, tensor, used, total, milliwatts, millijoules, celsius,
        reasons, ecc, uncorrected, pending, failed, unsupported;
} unit;
typedef struct { long long init, opened; unit units[UNITS]; } state;

static state *seen;
static int started;

#define ASK(device) \
    unit *asked = device; \
    if (!started) return UNINITIALIZED; \
    if (asked->error) return (int)asked->error;
#define SINCE(bit) if (asked->unsupported >> (bit) & 1) return NOT_SUPPORTED;

int nvmlInitWithFlags(unsigned flags) {
    const char *path = getenv("STAND_IN_NVML");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return DRIVER_NOT_LOADED;
    seen = mmap(NULL, sizeof(state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (seen->init) return (int)seen->init;
    started++;
    seen->opened++;
    return SUCCESS;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { started--; seen->opened--; return SUCCESS; }
const char *nvmlErrorString(int code) {
    return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : code == 18 ? "Driver/library version mismatch" : "Error";
}
int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "570.133.20");
    return SUCCESS;
}

static int number_of(unit *wanted) { return (int)(wanted - seen->units); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!started) return UNINITIALIZED;
    *count = 0;
    for (int i = 0; i < UNITS; i++) *count += seen->units[i].kind == GPU;
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (!started) return UNINITIALIZED;
    for (int i = 0; i < UNITS; i++)
        if (seen->units[i].kind == GPU && index-- == 0) {
            *device = &seen->units[i];
            return (int)seen->units[i].error;
        }
    return INVALID_ARGUMENT;
}
static void uuid_of(unit *one, char *text, unsigned length) {
    snprintf(text, length, "%s-%d0000000-stand-in", one->kind == PART ? "MIG" : "GPU", number_of(one));
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (!started) return UNINITIALIZED;
    for (int i = 0; i < UNITS; i++) {
        char own[96];
        uuid_of(&seen->units[i], own, sizeof own);
        if (seen->units[i].kind != NONE && strcmp(uuid, own) == 0) {
            *device = &seen->units[i];
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned length) {
    ASK(device)
    uuid_of(asked, text, length);
    return SUCCESS;
}
int nvmlDeviceGetName(void *device, char *text, unsigned length) {
    ASK(device)
    snprintf(text, length, asked->kind == PART ? "Stand-in H200 MIG 1g.18gb" : "Stand-in H200");
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    ASK(device)
    if (asked->kind == PART) return INVALID_ARGUMENT;
    *current = *pending = (unsigned)asked->mig;
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
    ASK(device)
    *count = asked->mig ? 7 : 0;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **part) {
    ASK(device)
    for (int i = 0; i < UNITS; i++)
        if (seen->units[i].kind == PART && seen->units[i].parent == number_of(asked) && index-- == 0) {
            *part = &seen->units[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}
int nvmlDeviceIsMigDeviceHandle(void *device, unsigned *is_part) {
    ASK(device)
    *is_part = asked->kind == PART;
    return SUCCESS;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **device) {
    ASK(part)
    *device = &seen->units[asked->parent];
    return SUCCESS;
}
int nvmlDeviceGetGpuInstanceId(void *part, unsigned *instance) {
    ASK(part)
    *instance = (unsigned)asked->instance;
    return SUCCESS;
}

typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned gpu, memory; } utilization;

int nvmlDeviceGetMemoryInfo(void *device, memory *found) {
    ASK(device) SINCE(0)
    *found = (memory){asked->total, asked->total - asked->used, asked->used};
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *device, utilization *found) {
    ASK(device) SINCE(1)
    if (asked->kind == PART || asked->mig) return NOT_SUPPORTED;
    *found = (utilization){(unsigned)asked->busy, 5};
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
    ASK(device) SINCE(2)
    if (asked->kind == PART) return NOT_SUPPORTED;
    *milliwatts = (unsigned)asked->milliwatts;
    return SUCCESS;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    ASK(device) SINCE(3)
    if (asked->kind == PART) return NOT_SUPPORTED;
    *millijoules = asked->millijoules;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) {
    ASK(device) SINCE(4)
    if (asked->kind == PART || sensor != 0) return NOT_SUPPORTED;
    *celsius = (unsigned)asked->celsius;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
    ASK(device) SINCE(5)
    if (asked->kind == PART) return NOT_SUPPORTED;
    *reasons = asked->reasons;
    return SUCCESS;
}
int nvmlDeviceGetEccMode(void *device, unsigned *current, unsigned *pending) {
    ASK(device) SINCE(6)
    *current = *pending = (unsigned)asked->ecc;
    return SUCCESS;
}
int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *count) {
    ASK(device) SINCE(6)
    if (kind != 1 || counter != 0) return INVALID_ARGUMENT; /* uncorrected, volatile */
    *count = asked->uncorrected;
    return SUCCESS;
}
int nvmlDeviceGetRemappedRows(void *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    ASK(device) SINCE(7)
    *corrected = *uncorrected = 0;
    *pending = (unsigned)asked->pending;
    *failed = (unsigned)asked->failed;
    return SUCCESS;
}

typedef struct { unsigned version, supported; } support;
typedef struct { unit *of; } counters;
typedef struct { unsigned id; int code; double value; const char *names[3]; } metric;
typedef struct { unsigned version, count; counters *before, *now; metric metrics[]; } metrics;

int nvmlGpmQueryDeviceSupport(void *device, support *found) {
    ASK(device)
    if (found->version != 1) return INVALID_ARGUMENT;
    found->supported = asked->gpm != 0;
    return SUCCESS;
}
int nvmlGpmSampleAlloc(counters **made) { return (*made = calloc(1, sizeof **made)) ? SUCCESS : NO_PERMISSION; }
int nvmlGpmSampleFree(counters *buffer) { free(buffer); return SUCCESS; }
int nvmlGpmSampleGet(void *device, counters *buffer) {
    ASK(device)
    if (!asked->gpm || asked->kind == PART || asked->mig) return NOT_SUPPORTED;
    buffer->of = asked;
    return SUCCESS;
}
int nvmlGpmMigSampleGet(void *device, unsigned instance, counters *buffer) {
    ASK(device)
    for (int i = 0; i < UNITS; i++) {
        unit *part = &seen->units[i];
        if (part->kind == PART && part->parent == number_of(asked) && part->instance == instance) {
            buffer->of = part;
            return part->error ? (int)part->error : SUCCESS;
        }
    }
    return INVALID_ARGUMENT;
}
int nvmlGpmMetricsGet(metrics *wanted) {
    if (wanted->version != 1 || !wanted->before->of || wanted->before->of != wanted->now->of) return INVALID_ARGUMENT;
    unit *asked = wanted->now->of;
    for (unsigned i = 0; i < wanted->count; i++) {
        metric *one = &wanted->metrics[i];
        one->code = one->id == 5 && asked->unsupported >> 8 & 1 ? NOT_SUPPORTED : SUCCESS;
        one->value = one->id == 1 ? asked->busy : one->id == 2 ? asked->sm : one->id == 5 ? asked->tensor : -1;
        if (asked->unsupported >> 9 & 1) one->value = __builtin_nan("");
    }
    return SUCCESS;
}
